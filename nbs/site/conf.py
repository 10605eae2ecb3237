"Configuration of Sphinx. What depends on the checkout is added by `configuration` in build.py."

language = 'en'
extensions = ['myst_nb', 'sphinx.ext.mathjax', 'plain_math', 'sphinx.ext.linkcode', 'sphinx_copybutton']
add_module_names = False
toc_object_entries = False
maximum_signature_line_length = 90
pygments_style = 'friendly'
suppress_warnings = ['mystnb.unknown_mime_type', 'myst.header', 'config.cache']

# Furo, with the blue of the figures


def accents(blue):
    "Furo's variables for links and names"
    return {
        'color-brand-primary': blue,
        'color-brand-content': blue,
        'color-api-name': blue,
        'color-api-pre-name': 'var(--color-foreground-muted)',
    }


html_theme = 'furo'
html_theme_options = {'light_css_variables': accents('#3b6fb6'), 'dark_css_variables': accents('#8fb4e8')}
html_css_files = ['style.css', 'panels.css']
html_js_files = [
    ('panels.js', {'defer': 'defer'}),    # recorded panels play without a kernel
    ('excerpts.js', {'defer': 'defer'}),  # the search shows formulas as text
]
html_copy_source = False
html_show_sphinx = False
mathjax_path = 'tex-svg.js'

# MyST and MyST-NB: notebooks as they are

myst_enable_extensions = ['colon_fence', 'dollarmath', 'amsmath', 'deflist']
myst_heading_anchors = 3
nb_execution_mode = 'off'
nb_output_stderr = 'remove'
nb_merge_streams = True
nb_render_markdown_format = 'myst'
nb_code_prompt_show = 'imports and other preparations'
nb_code_prompt_hide = 'fold again'
