"""How a notebook shows an error that is a sentence: the sentence, and not the traceback of the code that says it."""

import dis
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from IPython import get_ipython

_HELPERS = Path(__file__).parents[1]
# What the helpers raise; a SyntaxError in a cell, say, is none of these.
_KINDS = (ValueError, TypeError, RuntimeError, OSError, KeyboardInterrupt)


def show_as_sentences() -> None:
    """In a notebook, show what the helpers raise on purpose, and an interrupt of them, without a traceback.

    Whatever else goes wrong keeps its traceback. Programs that run notebooks see every error as before.
    """
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc(_KINDS, _show)


def _show(
    shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
) -> None:
    if _is_explained(error, trace):
        sentence = ": ".join(filter(None, [kind.__name__, str(error)]))
        error._render_traceback_ = lambda: [sentence]  # type: ignore[attr-defined]  # IPython's name for it
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)


def _is_explained(error: BaseException, trace: TracebackType) -> bool:
    """Return whether a helper was interrupted, or raised the error by a statement of its own."""
    inside, last = [], trace
    for frame, _ in traceback.walk_tb(trace):
        inside.append(Path(frame.f_code.co_filename).is_relative_to(_HELPERS))
        last = last.tb_next or last
    if isinstance(error, KeyboardInterrupt):
        return any(inside)
    return inside[-1] and dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
