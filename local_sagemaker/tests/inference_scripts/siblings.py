"""Imports a module beside it, and a package that its requirements name."""

import greeting
import sibling


def handler(data, context):
    model = context.rest_uri.rpartition("/")[2]
    return f"{greeting.WORD} {sibling.WORD} {context.model_name} {model}", "text/plain"
