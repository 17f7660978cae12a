"""An OpenAI-compatible server with an edit memory: in front of any endpoint, or of a local model (`memedit serve`).

    caller ── Guard (key, rate, size) ──▶ /v1/…       ──▶ Backend: an endpoint behind the wire codec, or a local model
                                     └──▶ /memedit/…  ──▶ Operations on edits and files; the page

A key names one namespace and one role. The namespace comes from the key alone, never from a header or a body.
"""
