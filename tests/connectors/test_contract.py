"""Every endpoint keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.connectors.benches import (
    AsanaBench,
    CrmOfficeBench,
    CustomErpBench,
    CustomPmsBench,
    MemoryBench,
    PowerOfficeBench,
    TrelloBench,
)
from tests.connectors.contract import Bench, EndpointContract, OnceContract


class TestMemory(EndpointContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = MemoryBench()
        yield bench
        await bench.close()


class TestMemoryOnce(OnceContract):
    @pytest.fixture(params=[(1, "marker"), (2, "recent"), (2, "none"), (5, "recent")])
    async def bench(self, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
        bench = MemoryBench(*request.param)
        yield bench
        await bench.close()


class TestCustomPms(EndpointContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = await CustomPmsBench.open()
        yield bench
        await bench.close()


class TestCrmOffice(EndpointContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = await CrmOfficeBench.open()
        yield bench
        await bench.close()


class TestCustomErp(EndpointContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = await CustomErpBench.open()
        yield bench
        await bench.close()


class TestAsana(EndpointContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = await AsanaBench.open()
        yield bench
        await bench.close()


class TestTrello(EndpointContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = await TrelloBench.open()
        yield bench
        await bench.close()


class TestPowerOfficeGo(EndpointContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = await PowerOfficeBench.open()
        yield bench
        await bench.close()
