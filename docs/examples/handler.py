#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A handler in Python: performs what may be performed for uid 0, and denies the rest.

Run it with: warder supervise names --exec docs/examples/handler.py
"""
import json
import sys


def say(answer):
    print(json.dumps(answer), flush=True)


hello = json.loads(sys.stdin.readline())
if 1 not in hello["versions"]:
    sys.exit(1)
say({"version": 1, "mode": "decide"})
for line in sys.stdin:
    call = json.loads(line)
    if call["uid"] == 0 and "perform" in call["decisions"]:
        say({"seq": call["seq"], "decision": "perform"})
    else:
        say({"seq": call["seq"], "decision": "deny", "errno": "EPERM"})
