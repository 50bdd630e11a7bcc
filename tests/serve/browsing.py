"""A visitor of the page, without a browser."""

from __future__ import annotations

import httpx2

from tests.serve.serving import Serving


class Browsing:
    """A browser without a screen: it keeps cookies and says where it comes from."""

    def __init__(self, served: Serving, key: str | None = None) -> None:
        self.served = served
        self.client = httpx2.Client(base_url=served.address, headers={"origin": served.address}, timeout=60)
        served.clients.append(self.client)
        if key is not None:
            assert self.client.post("/sign-in", data={"key": key}).status_code == 303

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path)

    def ask(self, question: str = "What is 9 + 4?", effort: str = "low") -> httpx2.Response:
        return self.client.post("/ask", data={"question": question, "effort": effort})

    def answer(self, *asked: str) -> httpx2.Response:
        """The answer's page."""
        sent = self.ask(*asked)
        assert sent.status_code == 303, sent.text
        return self.get(sent.headers["location"])
