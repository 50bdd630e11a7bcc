"""All addresses of the page."""

from __future__ import annotations

from starlette.routing import BaseRoute

from ponder.serve.page.accounts import account_pages
from ponder.serve.page.answers import answer_pages
from ponder.serve.page.ask import ask_routes
from ponder.serve.page.audit import audit_pages
from ponder.serve.page.desk import Desk
from ponder.serve.page.look import files
from ponder.serve.page.runs import run_pages

__all__ = ["page_routes"]


def page_routes(desk: Desk) -> list[BaseRoute]:
    """The page's addresses, beside the API's."""
    return [
        *answer_pages(desk),
        *ask_routes(desk),
        *audit_pages(desk),
        *account_pages(desk),
        *run_pages(desk),
        *files(),
    ]
