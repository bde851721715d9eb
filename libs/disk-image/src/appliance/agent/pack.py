"""Run where the appliance is built, by the appliance's own interpreter: compiles the agent, and the part of the
standard library that it uses, into a folder as they will lie in the appliance."""

import importlib
import os
import py_compile
import shutil
import sys

MODE = py_compile.PycInvalidationMode.UNCHECKED_HASH
# What the interpreter itself takes before any program runs.
ALWAYS = ['encodings.ascii', 'encodings.latin_1', 'encodings.utf_8']


def compile_into(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    py_compile.compile(source, cfile=target, doraise=True, optimize=0, invalidation_mode=MODE,
                       dfile=os.path.basename(source))


def main(agent, out):
    sys.dont_write_bytecode = True
    own = sorted(name[:-3] for name in os.listdir(agent) if name.endswith('.py') and name != 'pack.py')
    sys.path.insert(0, agent)
    for name in own + ALWAYS:
        importlib.import_module(name)
    library = os.path.dirname(os.__file__)
    home = os.path.join(out, 'usr/lib', os.path.basename(library))
    os.makedirs(os.path.join(home, 'lib-dynload'), exist_ok=True)
    for module in list(sys.modules.values()):
        source = getattr(module, '__file__', None)
        if not source or not source.startswith(library + os.sep):
            continue
        below = os.path.relpath(source, library)
        if source.endswith('.py'):
            compile_into(source, os.path.join(home, below + 'c'))
        else:
            os.makedirs(os.path.dirname(os.path.join(home, below)), exist_ok=True)
            shutil.copy(source, os.path.join(home, below))
    for name in own:
        compile_into(os.path.join(agent, name + '.py'), os.path.join(out, 'usr/lib/watari', name + '.pyc'))


main(sys.argv[1], sys.argv[2])
