"""Answers with what its own module of a common name says."""

import sys

import shared

import_path = list(sys.path)


def handler(data, context):
    shared.calls += 1
    return f"{shared.name} {shared.calls} {import_path[-1]}", "text/plain"
