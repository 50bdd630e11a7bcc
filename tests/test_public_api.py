import subprocess
import sys

import ponder


def test_all_is_sorted_and_every_name_is_there() -> None:
    assert ponder.__all__ == sorted(ponder.__all__)
    for name in ponder.__all__:
        assert getattr(ponder, name) is not None


def test_importing_a_room_does_not_shadow_a_public_name() -> None:
    import ponder.api
    import ponder.measure
    import ponder.solve

    assert callable(ponder.ask)
    assert callable(ponder.measure_tasks)


def test_importing_ponder_opens_no_socket_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "def audit(event, args):\n"
        "    if event.startswith('socket.'): raise SystemExit('socket: ' + event)\n"
        "sys.addaudithook(audit)\n"
        "import ponder\n"
        "heavy = {'numpy', 'openai', 'sqlalchemy', 'openvino', 'altair', 'rich'} & set(sys.modules)\n"
        "raise SystemExit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
