"""What the TypeScript SDK's `testing.spec.ts` says of it, said of this one."""

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

import omium
from omium import (
    Completed,
    Context,
    Effect,
    NonRetryableError,
    OmiumError,
    Price,
    PriceTable,
    Retry,
    StepInfo,
    Tool,
    TryAgain,
)
from omium.testing import run_agent, run_agent_async


class Number(BaseModel):
    n: int


@omium.agent(id="three", input=Number)
async def three(given: Number, ctx: Context) -> Any:
    a = await ctx.step("a", lambda: given.n + 1)

    async def double() -> int:
        return a * 2

    b = await ctx.step("b", double)
    return await ctx.step("c", lambda: {"sum": a + b, "share": 1.0, "pair": (1, 2)})


def test_runs_its_steps_and_gives_what_json_keeps() -> None:
    run = run_agent(three, {"n": 1})
    assert run.output == {"sum": 6, "share": 1, "pair": [1, 2]}
    assert [(one.executed, one.replayed, one.ended) for one in run.attempts] == [
        (["a#1", "b#1", "c#1"], [], "completed")
    ]


def test_resumes_after_crashes_without_running_a_recorded_step_again() -> None:
    run = run_agent(three, {"n": 1}, crash_after=["a#1", "b#1", 3])
    assert run.status == "completed"
    assert run.executions == {"a#1": 1, "b#1": 1, "c#1": 1}
    assert [one.ended for one in run.attempts] == ["crashed", "crashed", "crashed", "completed"]
    assert run.attempts[3].replayed == ["a#1", "b#1", "c#1"]


def test_asks_for_checkpoints_as_the_platform_understands_it() -> None:
    options = omium.RunOptions(checkpoints=omium.Checkpoints("task", "5s", before_effects=True))
    assert options.wire() == {"checkpoints": {"every": "task", "everyMs": 5000, "beforeEffects": True}}


def test_keeps_a_checkpoint_once_as_it_was_when_it_was_taken() -> None:
    @omium.agent()
    async def drafting(_: None, ctx: Context) -> Any:
        draft = {"lines": ["a"]}
        await ctx.checkpoint("draft", draft)
        draft["lines"].append("later")
        await ctx.checkpoint("draft", draft)
        return await ctx.step("last", lambda: draft)

    run = run_agent(drafting, None, crash_after=["draft#1", "draft#2"])
    assert run.executions == {"draft#1": 1, "draft#2": 1, "last#1": 1}
    kept = [entry.get("value") for entry in run.journal if entry["kind"] == "checkpoint"]
    assert kept == [{"lines": ["a"]}, {"lines": ["a", "later"]}]


def test_jumps_over_sleeps_and_fires_timeouts_of_waits() -> None:
    class Go(BaseModel):
        ok: bool

    @omium.agent()
    async def sleeper(_: None, ctx: Context) -> Any:
        before = await ctx.now()
        await ctx.sleep("3d")
        after = await ctx.now()
        try:
            await ctx.wait_for("go", timeout=1)
            late = "came"
        except OmiumError as error:
            late = error.code
        go = await ctx.wait_for("stay", schema=Go)
        decision = await ctx.approve("Publish?", timeout="5s")
        return {"slept": after - before, "late": late, "ok": go.ok, "decision": decision}

    run = run_agent(sleeper, None, signals={"stay": {"ok": True}}, crash_after="sleep#1")
    assert run.output == {
        "slept": 3 * 86_400_000,
        "late": "wait_timeout",
        "ok": True,
        "decision": {"approved": False, "by": "timeout", "comment": None, "timed_out": True},
    }
    assert run.elapsed_ms == 3 * 86_400_000 + 6000


def test_says_what_it_waits_for() -> None:
    @omium.agent()
    async def asks(_: None, ctx: Context) -> bool:
        return (await ctx.approve("Ship it?")).approved

    run = run_agent(asks)
    assert (run.status, run.waiting_for) == ("waiting", ("approve#1",))
    assert run_agent(asks, approvals={"Ship it?": True}).output is True


def test_retries_by_policy_and_not_what_forbids_it() -> None:
    tries: list[str] = []

    class Closed(Exception):
        code = "E_CLOSED"

    def flaky_step(info: StepInfo) -> int:
        tries.append("flaky")
        if info.attempt < 3:
            raise ValueError(f"try {info.attempt}")
        return info.attempt

    def never() -> None:
        tries.append("never")
        raise NonRetryableError("closed")

    def coded() -> None:
        tries.append("coded")
        raise Closed("x")

    @omium.agent()
    async def flaky(_: None, ctx: Context) -> Any:
        ok = await ctx.step("flaky", flaky_step)
        with pytest.raises(OmiumError) as forbidden:
            await ctx.step("never", never)
        with pytest.raises(OmiumError) as known:
            await ctx.step("coded", coded, retry=Retry(non_retryable=("E_CLOSED",)))
        error = forbidden.value
        return [ok, error.code, error.retryable, getattr(error.__cause__, "name", None), known.value.data]

    run = run_agent(flaky)
    assert run.output == [3, "step_failed", False, "NonRetryableError", {"code": "E_CLOSED"}]
    assert tries == ["flaky"] * 3 + ["never", "coded"]


def test_runs_children_inline_mocks_steps_and_keeps_failures() -> None:
    @omium.agent()
    async def child(given: dict[str, str], ctx: Context) -> str:
        if given["topic"] == "bad":
            raise TypeError("no such topic")
        return await ctx.step("search", lambda: "really searched")

    @omium.agent()
    async def parent(_: None, ctx: Context) -> Any:
        found = await ctx.gather(*(ctx.call(child, {"topic": topic}, key=topic) for topic in ("x", "y")))
        with pytest.raises(OmiumError) as bad:
            await ctx.call(child, {"topic": "bad"})
        return [found, bad.value.code, str(bad.value)]

    found, code, detail = run_agent(parent, mocks={"search": lambda: "mocked"}).output
    assert (found, code) == (["mocked", "mocked"], "child_failed")
    assert "no such topic" in detail


def _call(call_id: str, query: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "search", "arguments": f'{{"query": "{query}"}}'}}


class Query(BaseModel):
    query: str


def test_records_a_tool_loop_and_resumes_in_its_middle() -> None:
    searched: list[str] = []

    def search(given: Query) -> str:
        searched.append(given.query)
        return f"results for {given.query}"

    @omium.agent(budget_micro_credits=1_000_000)
    async def asker(_: None, ctx: Context) -> Any:
        return await ctx.llm.run(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "Hi"}],
            tools=[Tool("search", Query, search)],
        )

    run = run_agent(
        asker,
        crash_after="tools#1/search#2",
        llm=[
            {
                "message": {"role": "assistant", "content": None, "tool_calls": [_call("1", "a"), _call("2", "b")]},
                "inputTokens": 10,
                "outputTokens": 5,
            },
            {"message": {"role": "assistant", "content": "done"}, "inputTokens": 100, "outputTokens": 50},
        ],
    )
    assert run.error is None
    assert (run.output["content"], run.output["turns"]) == ("done", 2)
    assert run.output["usage"] == {
        "model": "gpt-4o-mini",
        "inputTokens": 110,
        "outputTokens": 55,
        "costMicroCredits": 50,
    }
    assert set(run.executions) == {"tools#1/chat#1", "tools#1/search#1", "tools#1/search#2", "tools#1/chat#2"}
    # a tool that had run, but was not recorded when the process died, runs again
    assert sorted(set(searched)) == ["a", "b"]
    assert run.executions["tools#1/chat#1"] == 1


def test_stops_a_model_call_that_could_exceed_the_budget() -> None:
    asked: list[Any] = []

    @omium.agent(budget_micro_credits=10)
    async def poor(_: None, ctx: Context) -> Any:
        return await ctx.llm.chat(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], max_tokens=100)

    def model(request: Any) -> str:
        asked.append(request)
        return "x"

    run = run_agent(poor, llm=model)
    assert run.error is not None
    assert run.error.code == "budget_exceeded"
    assert asked == []


def test_what_is_left_of_a_budget_is_shared_among_children_that_are_called_together() -> None:
    # the worst case of one of its calls is 3 micro-credits
    @omium.agent()
    async def kid(calls: int, ctx: Context) -> Any:
        for _ in range(calls):
            await ctx.llm.chat(model="m", messages=[], max_tokens=3)
        return calls

    @omium.agent(budget_micro_credits=10)
    async def parent(_: None, ctx: Context) -> Any:
        await ctx.gather(ctx.call(kid, 1), ctx.call(kid, 1))
        alone = await ctx.call(kid, 1)
        try:
            return [alone, await ctx.call(kid, 3)]
        except OmiumError as error:
            return [alone, error.code]

    run = run_agent(
        parent,
        agents=[kid],
        prices=PriceTable("spec", {"m": Price(0, 1)}),
        llm=lambda _: {"message": {"role": "assistant", "content": "x"}, "outputTokens": 2},
    )
    assert run.output == [1, "child_failed"]


def test_a_mismatch_names_the_step_both_requests_and_the_fix() -> None:
    attempts: list[int] = []

    @omium.agent()
    async def changed(_: None, ctx: Context) -> Any:
        attempts.append(ctx.attempt)
        await ctx.step("first", lambda: 1)
        await ctx.step("plan", lambda: 2, input={"version": len(attempts)})

    error = run_agent(changed, crash_after="plan#1").error
    assert error is not None
    assert error.code == "replay_mismatch"
    for part in ('Step "plan#1"', "recorded is a step", "the code now asks", '"version":2', "fork"):
        assert part in str(error)


def test_a_step_that_came_before_recorded_ones_is_not_run() -> None:
    inserted: list[int] = []

    @omium.agent()
    async def changed(_: None, ctx: Context) -> Any:
        if ctx.attempt > 1:
            await ctx.step("inserted", lambda: inserted.append(1))
        await ctx.step("plan", lambda: 2)
        await ctx.step("last", lambda: 1)

    error = run_agent(changed, crash_after="plan#1").error
    assert error is not None
    assert error.code == "replay_mismatch"
    assert '"inserted#1"' in str(error)
    assert inserted == []


def test_recorded_steps_that_the_code_never_asks_for_are_a_mismatch() -> None:
    @omium.agent()
    async def shortened(_: None, ctx: Context) -> Any:
        return "early" if ctx.attempt > 1 else await ctx.step("plan", lambda: 2)

    error = run_agent(shortened, crash_after=1).error
    assert error is not None
    assert '"plan#1"' in str(error) and "without asking for it" in str(error)


def test_calls_of_ctx_inside_a_step_are_refused() -> None:
    @omium.agent()
    async def nested(_: None, ctx: Context) -> Any:
        async def outer() -> Any:
            return await ctx.step("inner", lambda: 1)

        return await ctx.step("outer", outer, retry=False)

    error = run_agent(nested).error
    assert error is not None
    assert 'ctx.step was called inside step "outer"' in str(error)


def test_an_output_that_json_cannot_hold_is_refused_with_its_place() -> None:
    @omium.agent()
    async def bad(_: None, ctx: Context) -> Any:
        return await ctx.step("bad", lambda: {"rows": [{"when": {1, 2}}]})

    error = run_agent(bad).error
    assert error is not None
    assert error.code == "output_invalid"
    assert 'step "bad" cannot be recorded: at $.rows[0].when there is a set' in str(error)


@pytest.mark.parametrize("reconciled", [None, "retry", "completed"])
def test_an_effect_in_doubt_is_never_tried_again_unless_its_reconciler_says_so(reconciled: str | None) -> None:
    seen: list[str] = []
    paying = threading.Event()

    @omium.agent()
    async def payer(_: None, ctx: Context) -> Any:
        async def pay(info: StepInfo) -> str:
            seen.append(info.idempotency_key)
            paying.set()
            if len(seen) == 1:
                await asyncio.Event().wait()
            return "paid"

        async def reconcile(key: str) -> Completed | TryAgain:
            assert key == "test-run/pay#1"
            return Completed("was paid") if reconciled == "completed" else TryAgain()

        paid, _other = await ctx.gather(
            ctx.step("pay", pay, effect=Effect(reconcile) if reconciled else True),
            ctx.step("other", lambda: paying.wait(5)),
        )
        return paid

    run = run_agent(payer, crash_after="other#1")
    if reconciled is None:
        assert (run.status, run.waiting_for, seen) == ("waiting", ("pay#1",), ["test-run/pay#1"])
    elif reconciled == "completed":
        assert (run.output, len(seen)) == ("was paid", 1)
    else:
        assert (run.output, seen) == ("paid", ["test-run/pay#1"] * 2)


def test_a_step_that_exceeds_its_timeout_fails_and_is_cancelled() -> None:
    cancelled: list[str] = []

    @omium.agent()
    async def slow(_: None, ctx: Context) -> Any:
        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append("async")
                raise

        def block(info: StepInfo) -> None:
            while not info.cancelled:
                threading.Event().wait(0.001)
            cancelled.append("sync")

        with pytest.raises(OmiumError) as first:
            await ctx.step("async", wait, timeout=0.01, retry=False)
        with pytest.raises(OmiumError) as second:
            await ctx.step("sync", block, timeout=0.01, retry=False)
        return [first.value.code, second.value.code]

    assert run_agent(slow).output == ["step_timeout", "step_timeout"]
    assert "async" in cancelled


def test_an_input_that_does_not_fit_is_refused() -> None:
    error = run_agent(three, {"n": "one"}).error
    assert error is not None
    assert error.code == "input_invalid"
    assert "n: " in str(error)


def test_what_user_code_raises_and_where_it_came_from() -> None:
    @omium.agent()
    async def failing(_: None, ctx: Context) -> Any:
        def boom() -> None:
            raise KeyError("x")

        await ctx.step("boom", boom, retry=False)

    @omium.agent()
    async def exiting(_: None, ctx: Context) -> Any:
        raise SystemExit(3)

    error = run_agent(failing).error
    assert error is not None
    assert (error.code, error.data) == ("step_failed", {"stepPath": "boom#1"})
    error = run_agent(exiting).error
    assert error is not None
    assert (error.code, getattr(error.__cause__, "name", "")) == ("agent_threw", "SystemExit")


def test_a_task_group_is_deterministic_and_cancels_what_it_left_waiting() -> None:
    @omium.agent()
    async def grouped(_: None, ctx: Context) -> Any:
        def fail() -> None:
            raise ValueError("no")

        log: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.step("bad", fail, retry=False))
                group.create_task(ctx.wait_for("never"))
        except* OmiumError as errors:
            log.append(str(len(errors.exceptions)))
        log.append(await ctx.step("after", lambda: "after"))
        return log

    run = run_agent(grouped, crash_after=["bad#1", "after#1"])
    assert run.output == ["1", "after"]


async def _inside_a_loop() -> Any:
    with pytest.raises(OmiumError, match="run_agent_async"):
        run_agent(three, {"n": 1})
    return (await run_agent_async(three, {"n": 1})).output


def test_async_tests_have_their_own_way_in() -> None:
    assert asyncio.run(_inside_a_loop())["sum"] == 6


def test_another_attempt_runs_only_the_failure_anew_that_ended_the_one_before() -> None:
    ran: list[str] = []

    def fail(name: str) -> None:
        ran.append(name)
        if ran.count(name) < 2:
            raise ValueError(name)

    @omium.agent(defaults=omium.RunOptions(retry=Retry(max_attempts=2)))
    async def trying(_: None, ctx: Context) -> list[str]:
        try:
            await ctx.step("handled", lambda: fail("handled"), retry=False)
        except OmiumError:
            await ctx.step("instead", lambda: ran.append("instead"))
        await ctx.gather(*(ctx.step("last", lambda: fail("last"), key=n, retry=False) for n in (1, 2)))
        return ran

    run = run_agent(trying)
    assert run.output == ["handled", "instead", "last", "last", "last"]
    assert [attempt.ended for attempt in run.attempts] == ["failed", "completed"]
