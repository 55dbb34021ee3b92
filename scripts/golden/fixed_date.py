"""The one time at which golden files are rendered; tests/text/golden_time.h has it too."""

import datetime

NOW = datetime.datetime(2026, 3, 9, 14, 5, 7)


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW
