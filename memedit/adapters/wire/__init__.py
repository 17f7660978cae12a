"""Requests and answers as they stand on the wire, for whatever speaks HTTP: a client's transport, a proxy.

    body ── Codec.read ──▶ Request ── EditableLLM around an Upstream ──▶ the server's response, handed on unread,
                                                                     or an answer of memedit's, in the same form

A body that no edit is in scope of is sent on as the very bytes that came. Of one that a method changed, only the
conversation differs; every field that memedit does not know stays as it is.
"""
