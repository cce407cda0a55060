"""Feeds jails to fail2ban's own server classes, and tells what they refuse.

After `client.py`, whose `arguments` are the parent's process id, the address space in bytes, the CPU time in
seconds and the niceness. Standard input is a socket: it takes a line for each jail, the list of its commands, and
one for the server's own settings, and gives a line for each, `{"faults": […]}`, or `{"cannot": words}` as the last.
"""
import contextlib
import json
import os
import re
import stat
import sys
import time


class NoJournal:
    """In place of systemd's journal, of which it takes and refuses the same matches."""

    MATCH = re.compile(r"(?!__)[A-Z0-9_]+=.*", re.DOTALL)

    def __init__(self, flags=None, path=None, files=None, converters=None, namespace=None):
        if path is not None and not os.path.isdir(path):
            raise FileNotFoundError(2, "No such file or directory", path)

    def add_match(self, *matches):
        if not all(self.MATCH.fullmatch(match) for match in matches):
            raise ValueError("Invalid match")

    def add_disjunction(self):
        pass

    def flush_matches(self):
        pass


def without_journal():
    try:
        from fail2ban.server import filtersystemd
    except ImportError:
        return  # fail2ban's own attempt then says so
    filtersystemd.journal.Reader = NoJournal
    # From 1.1.1 on it runs a program to find the files.
    filtersystemd._globJournalFiles = lambda flags=None, path=None: None


def check_log(_filter, path, tail=False, autoSeek=True):
    """In place of opening a log file: what opening it would come to."""
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode) or status.st_rdev == os.makedev(1, 3):  # /dev/null
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "Is a directory", path)
    kind = "a FIFO: opening it waits for ever" if stat.S_ISFIFO(status.st_mode) else "no regular file"
    raise ValueError(f"{path} is {kind}")


def tame(actions, command_action, filters, utils):
    """Takes from fail2ban's classes what would reach out, or what they put off to the first line."""
    set_date_pattern = filters.Filter.setDatePattern

    def set_and_compile(self, pattern):
        set_date_pattern(self, pattern)
        # The lines of a journal come with their dates.
        if pattern is not None and not isinstance(self, filters.JournalFilter):
            for template in self.dateDetector.templates:
                template.matchDate("")

    class Unloaded:
        """In place of a Python action, which is parsed and not run."""

        def __init__(self, path):
            import ast
            with open(path, "rb") as source:
                tree = compile(source.read(), path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
            if not any(may_bind(node, "Action") for node in ast.walk(tree)):
                raise RuntimeError(f"{path} module does not have 'Action' class")

        @staticmethod
        def Action(jail, name, **_options):
            return command_action(jail, name)

    filters.Filter.setDatePattern = set_and_compile
    filters.FileFilter.addLogPath = check_log
    actions.Actions._load_python_module = staticmethod(Unloaded)
    utils.Utils.executeCmd = staticmethod(
        lambda *_, output=False, **__: (True, b"", b"", 0) if output else True
    )


def may_bind(node, name):
    """Whether a part of a module may give it something of this name."""
    named = getattr(node, "asname", None) or getattr(node, "name", None) or getattr(node, "id", None)
    return named in (name, "*")


def check_log_target(target):
    """In place of opening fail2ban's own log: whether it could be."""
    if target.upper() in ("INHERITED", "STDOUT", "SYSOUT", "STDERR", "SYSLOG", "SYSTEMD-JOURNAL"):
        return
    if os.path.isdir(target) or not os.path.isdir(os.path.dirname(os.path.abspath(target))):
        raise ValueError("Failed to change log target")


def check_database(path):
    """In place of opening the database, for which fail2ban makes the folders that it lacks."""
    if path == ":memory:":
        return
    if os.path.isdir(path):
        raise ValueError("unable to open database file")
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise NotADirectoryError(20, "Not a directory", folder)


OPTIONS = {
    "addfailregex": "failregex",
    "addignoreregex": "ignoreregex",
    "addignoreip": "ignoreip",
    "addlogpath": "logpath",
    "addjournalmatch": "journalmatch",
}


class Step:
    """One command with one value, and what in the config makes it."""

    def __init__(self, words):
        self.words = words
        self.action = None
        self.name, rest = words[0], words[2:]
        if self.name == "add":
            self.option = "backend"
        else:
            self.name, rest = rest[0], rest[1:]
            self.option = OPTIONS.get(self.name, self.name)
        if self.name in ("action", "addaction"):
            self.action = rest[0]
            self.option = "action"
            if self.name == "action":
                self.option, rest = f"action {rest[0]} {rest[1]}", rest[2:]
            else:
                rest = rest[:1]
        # What fail2ban's reader takes for no number, it prints as None.
        self.value = None if rest == [None] else " ".join(map(str, rest))

    @classmethod
    def of_server(cls, words):
        """One of the server's own settings."""
        value = words[2]
        if isinstance(value, dict):  # of threads: there is but one
            ((option, value),) = value.items()
        else:
            option = words[1]
        step = cls([words[0], words[1], option, value])
        step.words = words
        return step

    def fault(self, error):
        told, value = explain(error, self.value or "")
        has_value = value in told or repr(value) in told
        setting = self.option if has_value else f"{self.option} = {value}"
        return {
            "command": self.name,
            "option": self.option,
            "value": self.value,
            "words": " ".join(f"{setting}: {told}".split()),
        }


def explain(error, value):
    """fail2ban's words, with the value as the config has it where they have it as fail2ban uses it."""
    told = str(error)
    if isinstance(error, SyntaxError):
        told = error.msg
    elif isinstance(error, re.error):
        told = error.msg
    elif isinstance(error, KeyError) and len(error.args) == 1:
        told = str(error.args[0])
    begin, _, rest = told.partition(" '")
    used, found, end = rest.rpartition("':\n")
    if not found and rest.endswith("'"):
        used, end = rest[:-1], ""
    if begin not in ("Unable to compile regular expression", "No failure-id group in"):
        return told or type(error).__name__, cut(value, None)
    place = None
    cause = error.__context__
    if isinstance(cause, re.error):
        place = same_place(used, value, cause.pos)
        end = cause.msg if place is None else f"{cause.msg} at position {place}"
    value = cut(value, place)
    return f"{begin} '{value}'" + (f": {end}" if end else ""), value


def same_place(used, value, place):
    """Where in `value` that is which stands at `place` in what fail2ban made of it, if it is there."""
    if place is None:
        return None
    if used[:place] == value[:place]:
        return place
    from_end = len(used) - place
    if from_end < len(value) and used[place:] == value[len(value) - from_end:]:
        return len(value) - from_end
    return None


def cut(text, place, most=160):
    if len(text) <= most:
        return text
    begin = max(0, min((place or 0) - most // 2, len(text) - most))
    end = begin + most
    return ("…" if begin else "") + text[begin:end] + ("…" if end < len(text) else "")


def steps(commands):
    """The commands one value at a time, so that each fault has its own answer."""
    for command in commands:
        verb = command[0]
        if verb == "multi-set" and command[2] in ("addfailregex", "addignoreregex"):
            for value in command[3]:
                yield Step(["set", command[1], command[2], value])
        elif verb == "multi-set" and command[2] == "action":
            for setting in command[4]:
                yield Step(["set", *command[1:4], *setting])
        elif verb in ("add", "set"):
            yield Step(command)


class Rehearsal:
    def __init__(self):
        from fail2ban.server import action, actions, filter, jail, server, transmitter, utils
        from fail2ban.server.mytime import MyTime
        from fail2ban.helpers import extractOptions
        self.seconds = MyTime.str2seconds
        self.server, self.transmitter, self.options = server, transmitter, extractOptions
        self.backends = jail.Jail._BACKENDS
        tame(actions, action.CommandAction, filter, utils)
        self.fence = Fence()

    def of(self, commands):
        """What fails in a jail of its own server: as on a cold start, nothing is there before."""
        if commands[:1] and commands[0][0] != "add":
            return self.of_server(commands)
        transmitter = self.transmitter.Transmitter(self.server.Server())
        transmitter._Transmitter__quiet = 1  # else each answer repeats all that was set before
        faults, failed, missing = [], set(), set()
        for step in steps(commands):
            if step.name == "action" and step.action in missing:
                continue
            if step.name == "add":
                error = self.add(transmitter, step)
            else:
                error = self.answer(transmitter, step.words)
            if error is None:
                continue
            if step.name == "addaction" and "already exists" not in str(error):
                missing.add(step.action)
            # Its host may be in the prefregex that was refused.
            follows = "prefregex" in failed and str(error).startswith("No failure-id group")
            failed.add(step.name)
            if not follows:
                faults.append(step.fault(error))
        return faults

    def of_server(self, commands):
        """What fails of the server's own settings on a cold start."""
        transmitter = self.transmitter.Transmitter(self.server.Server())
        transmitter._Transmitter__quiet = 1
        said = {words[1]: words[2] for words in commands}
        has_database = str(said.get("dbfile", "none")).lower() != "none"
        tried_here = {
            "logtarget": lambda target: check_log_target(self.options(target)[0]),
            "dbfile": check_database if has_database else None,
            "dbmaxmatches": int if has_database else None,
            "dbpurgeage": self.seconds if has_database else None,
        }
        faults = []
        for words in commands:
            name, value = words[1:3]
            if name in tried_here:
                error = self.attempt(tried_here[name], value)
            else:
                error = self.answer(transmitter, words)
            if error is not None:
                faults.append(Step.of_server(words).fault(error))
        return faults

    def attempt(self, function, value):
        """The error of one of the functions that stand for the server's."""
        self.fence.touched = False
        try:
            if function is not None:
                function(value)
        except MemoryError:
            raise
        except BaseException as error:
            return None if self.fence.touched else error
        return None

    def add(self, transmitter, step):
        """Adds the jail with a backend that watches nothing, and one in any case."""
        verb, name, wanted = (step.words + ["auto"])[:3]
        backend = self.options(wanted)[0].lower()
        if backend == "systemd":
            without_journal()
        elif backend == "auto" or backend in self.backends:
            wanted = "polling" + wanted[len(backend):]
        error = self.answer(transmitter, [verb, name, wanted])
        if error is not None:
            self.answer(transmitter, [verb, name, "polling"])
        return error

    def answer(self, transmitter, words):
        self.fence.touched = False
        try:
            code, value = transmitter.proceed(words)
        except BaseException as error:
            code, value = 1, error
        if isinstance(value, MemoryError):
            raise value
        # What tried to act cannot be judged.
        return None if code == 0 or self.fence.touched else value


def tell(answer):
    line = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
    while line:
        line = line[os.write(0, line):]


def main(parent, memory, seconds, niceness):
    if not hasattr(sys, "addaudithook"):
        return tell({"cannot": "it needs Python 3.8 or later"})
    try:
        # The daemon's own folder.
        os.chdir("/")
        cage(parent, memory, seconds + int(time.process_time()), niceness)
        # fail2ban's server does without, and comes up faster: a database, and OpenSSL for its hashes.
        sys.modules["sqlite3"] = sys.modules["_hashlib"] = None
        rehearsal = Rehearsal()
        import logging
        logging.disable(logging.CRITICAL)
        sys.addaudithook(rehearsal.fence)
        for line in sys.stdin.buffer:
            tell({"faults": rehearsal.of(json.loads(line))})
    except MemoryError:
        tell(b'{"cannot": "it needs more memory than it is given"}\n')
    except BaseException as error:
        tell({"cannot": f"{type(error).__name__}: {error}"})


main(*map(int, arguments))
os._exit(0)
