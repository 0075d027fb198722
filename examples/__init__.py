"""Commands."""

import signal
import sys
import threading
from pathlib import Path

# As python -m examples.NAME, or as rnp: Ctrl-C ends the process silently while packages are imported, until
# run_command takes it over. Python would print where it was.
if (
    Path(sys.argv[0]).name in ("-m", "rnp")
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
