from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import LIMITS, Client
from tilestyle.errors import WorkError
from tilestyle.studio import copies, jobs, models
from tilestyle.studio.root import Root, new_id, write_json
from tilestyle.studio.studio import Studio
from tilestyle.studio.uploads import FACTS, FILE, UploadFacts

SETTINGS: dict[str, Any] = {
    "content": {"included": "coffee"},
    "styles": [{"source": {"included": "swirls"}}],
    "options": {"size": 48, "network": "wavelet"},
}
PARTS = (
    *(f"jobs/{{job}}/{name}" for name in ("job.json", "task.json", "result.tif", "input-thumbnail.jpg")),
    *(f"uploads/{{upload}}/{name}" for name in ("upload.data", "facts.json", "thumbnail.jpg", "small.png")),
)
PLAN = {"width": 48, "height": 32, "dpi": None, "memory_bytes": 10**6, "seconds": 5.0, "disk_bytes": 0}


@pytest.fixture(autouse=True)
def _plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process of the drafts would say of a job."""

    async def plan(self: Any, kind: str, settings: Any, *, measures: bool) -> dict[str, Any]:
        return {**PLAN, "warnings": [], "device": "cpu"}

    monkeypatch.setattr(jobs.Jobs, "plan", plan)


def add(client: Client, **more: Any) -> dict[str, Any]:
    answer = client.post("/api/jobs", json={"kind": "render", "settings": SETTINGS, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def uploaded(client: Client, photograph: Path) -> str:
    """Make an upload without the process that looks at it."""
    uploads, name = client.studio.uploads, new_id()
    folder = client.studio.root.uploads / name
    folder.mkdir()
    for file in (FILE, copies.THUMBNAIL, copies.SMALL):
        shutil.copyfile(photograph, folder / file)
    uploads._facts[name] = UploadFacts(name, "a.jpg", "picture", 600, 400, created=float(len(uploads._facts)))
    write_json(folder / FACTS, asdict(uploads._facts[name]))
    return name


def ended(client: Client, job: dict[str, Any], state: str = "done") -> None:
    """Make a job look as if it had ended."""
    kept = client.studio.jobs.get(job["id"])
    kept.state, kept.complete, kept.has_result = state, state == "done", True
    (client.studio.jobs.folder(kept) / jobs.RESULT).write_bytes(bytes(100_000))
    client.studio.jobs._save(kept)


def test_jobs_wait_in_order_and_survive(client: Client, tmp_path: Path) -> None:
    first, second = add(client), add(client, name="the second")
    assert (first["name"], first["state"], first["position"]) == ("coffee-swirls", "queued", 1)
    assert (second["name"], second["position"]) == ("the second", 2)
    assert first["inputs"] == {"content": "coffee", "styles": ["swirls"]}
    assert [job["id"] for job in client.get("/api/jobs").json()] == [second["id"], first["id"]]
    client.studio.jobs.get(second["id"]).state = "running"
    client.studio.jobs._save(client.studio.jobs.get(second["id"]))
    (client.studio.root.jobs / "rubbish").mkdir()
    client.studio.root.close()
    again = Studio(tmp_path / "root", 2**30, LIMITS, warm=False)
    assert [job.id for job in again.jobs.all()] == [second["id"], first["id"]]
    assert {job.state for job in again.jobs.all()} == {"queued"}
    assert not (again.root.jobs / "rubbish").exists()
    again.root.close()


def test_a_job_that_waits_is_paused_resumed_and_discarded(client: Client) -> None:
    job = add(client)
    path = f"/api/jobs/{job['id']}"
    assert client.post(f"{path}/pause").json()["state"] == "paused"
    assert client.post(f"{path}/pause").json()["state"] == "paused"
    assert client.post(f"{path}/resume").json()["state"] == "queued"
    refusal = client.post(f"{path}/stop")
    assert refusal.status_code == 409 and "no picture" in refusal.json()["error"]
    assert client.get(f"{path}/tiles").status_code == client.get(f"{path}/tiles/0/0_0.jpg").status_code == 404
    assert client.get(f"{path}/download").status_code == 409
    assert client.post(f"{path}/discard").status_code == 200
    assert client.get(path).status_code == 404 and not list(client.studio.root.jobs.iterdir())


def test_a_finished_job_cannot_be_resumed_but_recalled(client: Client) -> None:
    job = add(client)
    ended(client, job)
    path = f"/api/jobs/{job['id']}"
    for action in ("pause", "resume", "stop"):
        assert client.post(f"{path}/{action}").status_code == 409
    info = client.get(path).json()
    assert not info["can_resume"] and info["formats"] == ["png", "jpg", "tif", "webp"]
    answer = client.get(f"{path}/download", params={"format": "tif"})
    assert answer.status_code == 200 and 'filename="coffee-swirls.tif"' in answer.headers["content-disposition"]
    assert client.get(f"{path}/download", params={"format": "mp4"}).status_code == 409
    command = client.get(f"{path}/command").text
    assert command == "tilestyle render coffee --style swirls -o coffee-swirls.png --network wavelet --size 48"
    assert 'network = "wavelet"' in client.get(f"{path}/settings.toml").text
    assert not list(client.studio.root.temporary.iterdir())


def test_more_like_this_brings_back_what_was_uploaded(client: Client, photograph: Path) -> None:
    answer = client.post("/api/uploads", files={"file": ("../my photo.jpg", photograph.read_bytes())})
    assert answer.status_code == 200, answer.text
    upload = answer.json()
    assert (upload["name"], upload["kind"], upload["width"], upload["height"]) == (
        "my photo.jpg",
        "picture",
        600,
        400,
    )
    small, large = (
        client.get(f"/api/uploads/{upload['id']}/thumbnail", params={"size": n}) for n in (64, 1024)
    )
    assert small.headers["content-type"] == "image/jpeg" and large.headers["content-type"] == "image/png"
    job = add(client, settings={**SETTINGS, "content": {"upload": upload["id"]}})
    assert client.get(f"/api/jobs/{job['id']}/thumbnail").content == small.content
    path = f"/api/jobs/{job['id']}/again"
    assert client.post(path).json()["content"]["upload"] == upload["id"]
    assert client.request("DELETE", f"/api/uploads/{upload['id']}").status_code == 204
    again = client.post(path).json()
    assert again["content"]["upload"] != upload["id"] and again["options"] == SETTINGS["options"]
    assert client.get(f"/api/uploads/{again['content']['upload']}/thumbnail").status_code == 200
    assert "'my photo.jpg'" in client.get(f"/api/jobs/{job['id']}/command").text


def test_the_oldest_finished_jobs_go_first_and_unfinished_ones_never(client: Client) -> None:
    old, paused, new = add(client), add(client), add(client)
    ended(client, old)
    ended(client, new)
    client.post(f"/api/jobs/{paused['id']}/pause")
    root = client.studio.root
    root.cap = root.used(fresh=True) + 1000
    client.studio.make_room(50_000)
    assert {job.id for job in client.studio.jobs.all()} == {paused["id"], new["id"]}
    refusal = client.post("/api/uploads", content=b"", headers={"content-length": "900000"})
    assert refusal.status_code in (415, 507)
    with pytest.raises(Exception, match="--storage"):
        client.studio.make_room(10**9)
    assert {job.id for job in client.studio.jobs.all()} == {paused["id"], new["id"]}  # it would not be enough


def test_nothing_is_removed_for_what_needs_it(client: Client, photograph: Path) -> None:
    content, style = (uploaded(client, photograph) for _ in range(2))
    root = client.studio.root
    root.cap = root.used(fresh=True) + 1000
    settings = {**SETTINGS, "content": {"upload": content}, "styles": [{"source": {"upload": style}}]}
    refusal = client.post("/api/jobs", json={"kind": "render", "settings": settings})
    assert refusal.status_code == 507, refusal.text
    assert {facts.id for facts in client.studio.uploads.oldest_first()} == {content, style}
    root.cap = 2**30
    job = add(client)
    ended(client, job)
    root.cap = root.used(fresh=True) + 1000
    assert client.get(f"/api/jobs/{job['id']}/download", params={"format": "jpg"}).status_code == 422  # zeros
    assert client.get(f"/api/jobs/{job['id']}").status_code == 200
    assert len(client.studio.uploads.oldest_first()) < 2  # these may go


def test_nothing_is_removed_if_the_disk_is_too_small(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = add(client)
    ended(client, job)
    root = client.studio.root
    root.cap = root.used(fresh=True) + 1000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 100, 0))
    root.cap = 2**40
    with pytest.raises(Exception, match="the disk of"):
        client.studio.make_room(10**9)
    root.cap = root.used() + 1000
    monkeypatch.setattr(root, "bytes_of", lambda folder: 10**6)
    with pytest.raises(Exception, match="the disk of"):
        client.studio.make_room(10**6 + 500)
    assert client.get(f"/api/jobs/{job['id']}").status_code == 200


def test_jobs_that_make_room_are_told_to_be_gone(client: Client) -> None:
    job = add(client)
    ended(client, job)

    async def told() -> list[Any]:
        stream: AsyncIterator[Any] = client.studio.jobs.events()
        heard = [await anext(stream)]
        client.studio.jobs.remove(client.studio.jobs.get(job["id"]))
        return [*heard, await anext(stream)]

    assert client.run(told())[1] == ("gone", {"id": job["id"]})


def test_a_job_that_was_discarded_stays_away(client: Client) -> None:
    job = client.studio.jobs.get(add(client)["id"])
    client.run(client.studio.jobs.discard(job))
    client.run(client.studio.jobs._change(job))  # its process says a last word
    assert job.id not in client.studio.jobs._versions  # or its events would never end


def test_jobs_are_told_as_they_change(client: Client) -> None:
    first = add(client)

    async def told() -> list[tuple[str, Any] | None]:
        stream: AsyncIterator[Any] = client.studio.jobs.events()
        heard = [await anext(stream)]
        await client.studio.jobs.pause(client.studio.jobs.get(first["id"]))
        heard.append(await anext(stream))
        await client.studio.jobs.discard(client.studio.jobs.get(first["id"]))
        heard.append(await anext(stream))
        return heard

    heard = client.run(told())
    assert [event and event[0] for event in heard] == ["job", "job", "gone"]
    assert heard[0] is not None and heard[1] is not None and heard[2] is not None
    assert heard[0][1]["state"] == "queued" and heard[1][1]["state"] == "paused"
    assert heard[2][1] == {"id": first["id"]}


def test_a_crash_of_the_process_is_one_message(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WORKER", "tilestyle.no_such_module")
    job = client.studio.jobs.get(add(client)["id"])
    client.run(client.studio.jobs._run(job))
    info = client.get(f"/api/jobs/{job.id}").json()
    assert info["state"] == "failed" and "its process ended" in info["error"] and info["can_resume"]
    client.studio.jobs._running = None
    assert client.post(f"/api/jobs/{job.id}/resume").json()["state"] == "queued"


def test_records_of_other_versions_are_read(client: Client, tmp_path: Path) -> None:
    job = add(client)
    record = client.studio.root.jobs / job["id"] / jobs.RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "a later field": 1}))
    other = client.studio.root.jobs / add(client)["id"] / jobs.RECORD
    other.write_text("{")
    client.studio.root.close()
    again = Studio(tmp_path / "root", 2**30, LIMITS, warm=False)
    assert len(again.jobs.all()) == 1
    assert other.exists()  # nothing is removed because it cannot be read
    again.root.close()


def test_a_damaged_record_does_not_hide_the_others(client: Client, tmp_path: Path) -> None:
    whole = add(client)["id"]
    values: tuple[Any, ...] = (None, "text", [1], {"a": []}, [[1]], "\ud800", float("nan"))
    records = [client.studio.root.jobs / add(client)["id"] / jobs.RECORD for _ in values]
    contents = [json.loads(record.read_text()) for record in records]
    client.studio.root.close()
    for name in contents[0]:
        for record, content, value in zip(records, contents, values, strict=True):
            record.write_text(json.dumps({**content, name: value}))
        again = Studio(tmp_path / "root", 2**30, LIMITS, warm=False)
        other = Client(again)
        listed = other.get("/api/jobs")
        assert listed.status_code == 200 and whole in {job["id"] for job in listed.json()}, name
        assert all(record.exists() for record in records)
        again.root.close()
        other.close()


@pytest.mark.parametrize(
    "gone", ["jobs/{job}", "jobs", "uploads/{upload}", "uploads", "temporary", "included", "", *PARTS]
)
def test_what_is_gone_from_the_folder_is_one_message(
    client: Client, photograph: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = uploaded(client, photograph)
    settings = {**SETTINGS, "content": {"upload": upload}}
    job = add(client, settings=settings)
    ended(client, job)
    root, path = client.studio.root.path, f"/api/jobs/{job['id']}"
    place = root / gone.format(job=job["id"], upload=upload)
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    monkeypatch.setattr(client.studio.drafts, "_failures", 99)  # no process is needed to find out
    for name in ("", "/tiles", "/tiles/0/0_0.jpg", "/content/tiles", "/thumbnail", "/crops/1.jpg", "/command"):
        answers(client, "GET", f"{path}{name}")
    for form in ("tif", "png"):
        answers(client, "GET", f"{path}/download?format={form}")
    answers(client, "GET", f"{path}/settings.toml")
    answers(client, "POST", f"{path}/again")
    answers(client, "GET", f"/api/uploads/{upload}/thumbnail")
    answers(client, "GET", "/api/pictures/coffee/thumbnail")
    if gone in ("temporary", "uploads", ""):
        answers(client, "POST", "/api/uploads", files={"file": ("a.jpg", photograph.read_bytes())})
    answers(client, "POST", "/api/jobs", json={"kind": "render", "settings": settings})
    answers(client, "POST", "/api/drafts", json={"session": "a", "settings": settings})
    answers(client, "GET", "/api/status")
    answers(client, "GET", "/api/jobs")
    for action in ("pause", "resume", "stop", "discard"):
        answers(client, "POST", f"{path}/{action}")
    answers(client, "DELETE", f"/api/uploads/{upload}")


def answers(client: Client, method: str, path: str, **more: Any) -> None:
    """Check that a request is answered, if need be with one line that says what is wrong."""
    answer = client.request(method, path, **more)
    assert answer.status_code in (200, 201, 204, 404, 409, 415, 422, 503), (path, answer.text)
    if answer.status_code >= 400:
        problem = answer.json()
        assert problem["error"].isprintable() and " --" not in answer.text, problem


def test_no_download_of_an_earlier_result_is_kept(client: Client) -> None:
    job = client.studio.jobs.get(add(client)["id"])
    folder = client.studio.jobs.folder(job)
    ended(client, {"id": job.id}, "stopped")
    for form in ("png", "jpg", "webp"):
        (folder / f"download.{form}").write_bytes(b"of an earlier result")
        os.utime(folder / f"download.{form}", (4e9, 4e9))  # before the clock was set back
    client.studio.jobs._note_end(job, {"state": "done", "complete": True, "has_result": True})
    assert not list(folder.glob("download.*")) and (folder / jobs.RESULT).exists()


def test_a_damaged_task_is_one_message(client: Client) -> None:
    job = add(client)
    for text in ("", "{", "[]", "{}", "5", '{"content": 5, "styles": 5}', '{"content": null, "styles": [5]}'):
        (client.studio.root.jobs / job["id"] / jobs.TASK).write_text(text)
        answers(client, "POST", f"/api/jobs/{job['id']}/again")


def test_drafts_without_a_process_are_one_message(client: Client) -> None:
    shutil.rmtree(client.studio.root.temporary)  # where it works
    answer = client.post("/api/drafts", json={"session": "a", "settings": SETTINGS})
    assert answer.status_code == 503 and "cannot be started" in answer.json()["error"]


def test_a_damaged_marker_is_no_reason_to_stay_closed(tmp_path: Path) -> None:
    Root(tmp_path, 1000).close()
    for text in ("", "{", "[]", "5", '{"format": "later"}', '{"format": null}', "\0"):
        (tmp_path / "studio.json").write_text(text)
        Root(tmp_path, 1000).close()
    (tmp_path / "studio.json").write_text('{"format": 99}')
    with pytest.raises(WorkError, match="later version"):
        Root(tmp_path, 1000)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(WorkError, match="it holds other files"):
        Root(tmp_path, 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_every_answer_fits_its_description(client: Client) -> None:
    add(client)
    models.Status.model_validate(client.get("/api/status").json())
    models.JobInfo.model_validate(client.get("/api/jobs").json()[0])
    described = client.get("/api/openapi.json").json()["paths"]
    assert "/api/jobs/{job}/tiles/{level}/{x}_{y}.jpg" in described and "/" not in described
    assert all("summary" in each for methods in described.values() for each in methods.values())
