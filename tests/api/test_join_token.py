"""POST /token: what a join token allows, and when there is none."""

from __future__ import annotations

import re
import time

import jwt
import pytest
from http_parts import SECRET, FleetServer, Service, Start, StartFleet

from worker.api.join_token import minter
from worker.settings import Settings, SettingsError


async def ready(start: Start, fleet: FleetServer, **values: object) -> Service:
    """A service that has seen its one worker."""
    service = await start(worker_urls=(fleet.url,), **values)
    await service.health(lambda said: said["fleet"]["workers"] == 1)
    return service


async def test_the_answer_has_the_shape_of_livekits_token_endpoint(start: Start, start_fleet: StartFleet) -> None:
    service = await ready(start, await start_fleet(), livekit_public_url="wss://calls.example.test")
    async with service.client.post("/token", json={"participant_name": "Ann"}) as response:
        answer = await response.json()
    assert response.status == 201
    assert answer.keys() == {"server_url", "participant_token", "room_name", "participant_name"}
    assert answer["server_url"] == "wss://calls.example.test"
    assert answer["participant_name"] == "Ann"
    assert re.fullmatch(r"call-[0-9a-f]{32}", answer["room_name"])


async def test_the_claims_are_exactly_these(start: Start, start_fleet: StartFleet) -> None:
    service = await ready(start, await start_fleet(), agent_name="vera", livekit_api_key="key")
    asked_s = int(time.time())
    async with service.client.post("/token", json={"participant_name": "Ann"}) as response:
        answer = await response.json()
    claims = jwt.decode(answer["participant_token"], SECRET, algorithms=["HS256"])
    identity, not_before, expires = claims.pop("sub"), claims.pop("nbf"), claims.pop("exp")
    assert claims == {
        "iss": "key",
        "name": "Ann",
        "video": {
            "roomJoin": True,
            "room": answer["room_name"],
            "canPublish": True,
            "canPublishSources": ["microphone"],
            "canSubscribe": True,
            "canPublishData": True,
        },
        "roomConfig": {
            "agents": [{"agentName": "vera"}],
            "maxParticipants": 1,
            "emptyTimeout": 30,
            "departureTimeout": 5,
        },
    }
    assert re.fullmatch(r"caller-[0-9a-f]{16}", identity)
    assert expires - not_before == 600
    assert abs(not_before - asked_s) <= 2


async def test_no_body_is_needed(start: Start, start_fleet: StartFleet) -> None:
    service = await ready(start, await start_fleet())
    async with service.client.post("/token") as response:
        assert response.status == 201
        assert (await response.json())["participant_name"] == "Caller"


async def test_rooms_and_identities_never_repeat() -> None:
    mint = minter(Settings(_env_file=None, livekit_api_secret=SECRET))
    identities = {jwt.decode(mint("r", "n").participant_token, SECRET, ["HS256"])["sub"] for _ in range(1000)}
    assert len(identities) == 1000


async def test_what_a_client_of_the_standard_asks_for_does_not_choose(start: Start, start_fleet: StartFleet) -> None:
    service = await ready(start, await start_fleet(), agent_name="vera")
    asked = {
        "room_name": "mine",
        "participant_identity": "admin",
        "participant_name": "Ann",
        "participant_metadata": "{}",
        "participant_attributes": {"lk.agent.state": "speaking"},
        "room_config": {
            "name": "mine",
            "max_participants": 50,
            "metadata": "x",
            "egress": {"room": {}},
            "agents": [{"agent_name": "vera", "metadata": "x"}],
        },
    }
    async with service.client.post("/token", json=asked) as response:
        answer = await response.json()
    assert response.status == 201
    claims = jwt.decode(answer["participant_token"], SECRET, algorithms=["HS256"])
    assert claims.keys() == {"iss", "sub", "name", "video", "roomConfig", "nbf", "exp"}
    assert claims["sub"].startswith("caller-")
    assert claims["video"]["room"] == answer["room_name"] != "mine"
    assert claims["roomConfig"]["maxParticipants"] == 1
    assert claims["roomConfig"]["agents"] == [{"agentName": "vera"}]
    assert claims["roomConfig"].keys() == {"agents", "maxParticipants", "emptyTimeout", "departureTimeout"}


@pytest.mark.parametrize(
    "agent", [{"agent_name": "other"}, {"agentName": "other"}, "other", {"agent_name": ["vera"]}, {"agent_name": {}}]
)
async def test_an_agent_that_is_not_ours_is_refused(start: Start, start_fleet: StartFleet, agent: object) -> None:
    service = await ready(start, await start_fleet(), agent_name="vera")
    async with service.client.post("/token", json={"room_config": {"agents": [agent]}}) as response:
        answer = await response.json()
    assert response.status == 422
    assert answer["errors"][0]["allowed"] == "vera"


async def test_a_field_that_no_standard_has_is_named(start: Start, start_fleet: StartFleet) -> None:
    service = await ready(start, await start_fleet())
    async with service.client.post("/token", json={"room": "mine"}) as response:
        answer = await response.json()
    assert response.status == 422
    assert answer["errors"][0]["field"] == "room"


@pytest.mark.parametrize("name", ["a" * 65, "", " ", "a\u202eb", "a\x00b", "a\nb", "\ud800", "\u200b"])
async def test_a_name_that_deceives_is_refused(start: Start, start_fleet: StartFleet, name: str) -> None:
    service = await ready(start, await start_fleet())
    async with service.client.post("/token", json={"participant_name": name}) as response:
        assert response.status == 422
        assert (await response.json())["errors"][0]["field"] == "participant_name"


async def test_a_full_fleet_is_said_at_once(start: Start, start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    fleet.begin("a", "b")
    service = await ready(start, fleet)
    async with service.client.post("/token") as response:
        answer = await response.json()
    assert response.status == 503
    assert response.headers["Retry-After"] == "5"
    assert answer["code"] == "at_capacity"
    assert answer["retry_after_s"] == 5.0
    assert answer["message"]


async def test_tokens_that_were_given_hold_their_places(start: Start, start_fleet: StartFleet) -> None:
    service = await ready(start, await start_fleet())
    statuses = [(await service.client.post("/token")).status for _ in range(3)]
    assert statuses == [201, 201, 503]


async def test_without_a_worker_the_answer_says_so(start: Start) -> None:
    service = await start()
    async with service.client.post("/token") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "2"
        assert (await response.json())["code"] == "no_agents"


async def test_it_answers_from_memory_while_the_worker_hangs(start: Start, start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    fleet.says["capacity"] = 100
    service = await ready(start, fleet)
    fleet.delay_s = 30
    took_s = []
    for _ in range(20):
        asked_s = time.perf_counter()
        assert (await service.client.post("/token")).status == 201
        took_s.append(time.perf_counter() - asked_s)
    assert sorted(took_s)[10] < 0.05


async def test_metrics_count_what_was_given_and_refused(start: Start, start_fleet: StartFleet) -> None:
    service = await ready(start, await start_fleet())
    for _ in range(3):
        await service.client.post("/token")
    text = await (await service.client.get("/metrics")).text()
    assert 'voice_join_tokens_total{result="given"} 2.0' in text
    assert 'voice_join_tokens_total{result="at_capacity"} 1.0' in text


@pytest.mark.parametrize("secret", [None, "short"])
def test_a_secret_that_anybody_could_guess_is_refused_at_start(secret: str | None) -> None:
    with pytest.raises(SettingsError, match="LIVEKIT_API_SECRET"):
        minter(Settings(_env_file=None, livekit_api_secret=secret))


async def test_a_job_that_came_and_went_frees_its_place(start: Start, start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    fleet.says["capacity"] = 1
    service = await ready(start, fleet)
    room = (await (await service.client.post("/token")).json())["room_name"]

    assert (await service.health(lambda _: True))["fleet"]["free"] == 0
    fleet.begin(room)
    await service.health(lambda said: said["fleet"]["active"] == 1)
    fleet.begin()
    assert (await service.health(lambda said: said["fleet"]["active"] == 0))["fleet"]["free"] == 1
