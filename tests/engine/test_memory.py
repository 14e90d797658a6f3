from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stream.engine.memory import MemoryLog
from tests.engine.contract import PARTITIONS, TOPICS, LogContract


class TestMemoryLog(LogContract):
    @pytest.fixture
    async def log(self) -> AsyncIterator[MemoryLog]:
        log = MemoryLog()
        await log.open()
        await log.declare(TOPICS, PARTITIONS)
        yield log
        await log.close()
