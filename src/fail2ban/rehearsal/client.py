"""Runs fail2ban's client, and then what it is given to run in the same process.

Arguments: that, the four words that it takes, the client's script, and the client's own arguments. The client
has standard output and standard error for itself. Standard input is a socket: it tells how the client ended,
`{"ended": status}`. What comes after that is compiled only then, as the config is waited for.
"""
import contextlib
import gc
import os
import sys


def run_client(script, words):
    """Runs fail2ban's client as its own program does, and returns its exit status."""
    sys.argv = [script, *words]
    try:
        with open(script, "rb") as source:
            program = compile(source.read(), script, "exec", dont_inherit=True)
        exec(program, {"__name__": "__main__", "__file__": script, "__builtins__": __builtins__})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def leave_outputs():
    """The client's reader then sees their ends. What Python itself still has to say goes to ours."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(0, 2)
    os.close(nowhere)


gc.disable()  # it ends before it could gather much: `-d` of 500 jails needs 38 MB with it and without
rest, *arguments = sys.argv[1:6]
script, *words = sys.argv[6:]
if sys.path[:1] == [""]:
    sys.path[0] = os.path.dirname(os.path.realpath(script))
status = run_client(script, words)
leave_outputs()
os.write(0, b'{"ended": %d}\n' % status)
exec(compile(rest, "rehearsal", "exec", dont_inherit=True))
