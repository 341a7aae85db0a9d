"""What our processes do with their memory while they load what stays, and how they wait for one another."""

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from assistant.processes import host_processes, watching
from assistant.processes.host_processes import wait_for_end, without_collections


def test_while_something_is_loaded_nothing_is_collected_and_afterwards_as_before():
    with pytest.raises(ImportError), without_collections():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    with without_collections():
        with without_collections():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.stdin.close()
    process.wait()


def test_the_end_of_a_process_is_waited_for_without_looking(sleeper):
    """The process is nobody's child here: `wait` would not do."""
    watcher = subprocess.Popen(
        [sys.executable, "-c", "import sys; from assistant.processes.host_processes import wait_for_end as w;"
         "print('waits', flush=True); w([int(sys.argv[1])], None); print('ended')", str(sleeper.pid)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watcher.stdout.readline() == "waits\n" and watcher.poll() is None
    sleeper.kill()
    assert watcher.communicate(timeout=60)[0] == "ended\n"


def test_who_has_ended_already_is_not_waited_for(sleeper):
    sleeper.kill()
    sleeper.wait()
    wait_for_end([sleeper.pid], None)


def test_what_can_be_read_ends_the_wait_too(sleeper):
    reading, writing = os.pipe()
    os.write(writing, b"x")
    wait_for_end([sleeper.pid], None, reading)
    os.close(reading)
    os.close(writing)


def test_where_the_system_can_t_tell_it_is_looked_at_again_soon(sleeper, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    monkeypatch.setattr(host_processes, "BLIND_SECONDS", 0.0)
    wait_for_end([sleeper.pid], None)
    assert sleeper.poll() is None


# --- what `serve` becomes ---


def test_a_child_of_the_program_before_is_watched_stopped_and_told_of_as_one_s_own(sleeper, capfd):
    child = watching.Child("sleeper", [sys.executable, "-c", "input()"], 60, pid=sleeper.pid)
    child.watch()
    assert child.pid == sleeper.pid and capfd.readouterr().out == ""
    sleeper.send_signal(signal.SIGKILL)
    while not child.is_awaited:
        child.watch()
        time.sleep(0.01)
    sleeper.returncode = -signal.SIGKILL  # it is waited for already
    assert "The sleeper was killed by signal 9; it starts again" in capfd.readouterr().out


def test_a_child_that_does_not_stop_is_killed(sleeper):
    child = watching.Child("sleeper", [], 60, pid=sleeper.pid)
    child.stop(lambda: True)
    sleeper.returncode = -signal.SIGTERM
    assert child.is_awaited


def test_only_a_good_answer_is_one():
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer(line):
            connection = server.accept()[0]
            heard.append(connection.recv(1000))
            connection.sendall(line)
            connection.close()

        for line, is_good in ((b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 No\r\n\r\n", False), (b"", False)):
            heard = []
            thread = threading.Thread(target=answer, args=(line,))
            thread.start()
            assert watching.is_answering("127.0.0.1", port, "/readyz", "here") is is_good
            thread.join()
            assert heard == [b"GET /readyz HTTP/1.0\r\nHost: here\r\n\r\n"]
    assert not watching.is_answering("127.0.0.1", port, "/readyz", "here")
