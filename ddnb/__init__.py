__version__ = "0.1.0"
import os
os.environ.setdefault('OMP_WAIT_POLICY', 'passive') # before torch is loaded: threads that wait actively make training many times slower where another program has a core
