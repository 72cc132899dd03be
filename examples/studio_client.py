"""Render a photograph in a style through a running studio.

Start it with `tilestyle studio`, then:

    pip install httpx
    python examples/studio_client.py photo.jpg painting.jpg result.png [ADDRESS] [TOKEN]
"""

import sys
import time
from pathlib import Path

import httpx

if len(sys.argv) < 4:
    sys.exit(__doc__)
photo, style, result, *more = sys.argv[1:]
address, token = [*more, *("http://127.0.0.1:8420", "")[len(more) :]]
headers = {"Authorization": f"Bearer {token}"} if token else {}
studio = httpx.Client(base_url=address, headers=headers, timeout=600)


def upload(file: str) -> dict[str, str]:
    """Upload a picture, and return how settings name it."""
    answer = studio.post("/api/uploads", files={"file": (Path(file).name, Path(file).read_bytes())})
    return {"upload": answer.raise_for_status().json()["id"]}


settings = {"content": upload(photo), "styles": [{"source": upload(style)}], "options": {"strength": 0.6}}
job = studio.post("/api/jobs", json={"kind": "render", "settings": settings}).raise_for_status().json()
while job["state"] in ("queued", "running"):
    time.sleep(1)
    job = studio.get(f"/api/jobs/{job['id']}").raise_for_status().json()
    print(f"{job['state']}, {job['progress']['share']:.0%}")
if job["state"] != "done":
    sys.exit(f"{job['error']}; {job['hint']}")
Path(result).write_bytes(studio.get(f"/api/jobs/{job['id']}/download", params={"format": "png"}).content)
