"""Seconds since the kernel started this process: what a user waits for, imports included."""
import os
import time


def seconds_since_exec():
    with open("/proc/self/stat", encoding="utf-8") as file:
        started = int(file.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
