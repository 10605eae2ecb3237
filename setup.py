"Packaging of ddnb: everything it says stands in settings.ini, where nbdev reads it too."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

ini = ConfigParser(delimiters=['='])
ini.read(Path(__file__).with_name('settings.ini'), encoding='utf-8')
cfg = ini['DEFAULT']

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    keywords=cfg['keywords'],
    author=cfg['author'],
    author_email=cfg['author_email'],
    license='Apache-2.0',
    long_description=Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    packages=find_packages(include=['ddnb', 'ddnb.*']),
    package_data={'': ['*.css', '*.js', '*.j2', '*.txt']},  # styles, scripts, templates and tables beside the modules
    zip_safe=False,
    python_requires='>=' + cfg['min_python'],
    install_requires=cfg['requirements'].split(),
    extras_require={name: cfg[f'{name}_requirements'].split() for name in ('dev', 'docs', 'hub')},
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': ['ddnb=ddnb._modidx:d']},
    classifiers=[
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Development Status :: 3 - Alpha',
    ],
)
