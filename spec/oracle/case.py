"""The three shapes of a case: accepted, refused, and a total rule's near miss."""

from oracle.encoding import Reject


def accept(rule, name, inputs, out):
    return {"rule": rule, "name": name, "in": inputs, "out": out}


def refuse(rule, name, inputs, code):
    return {"rule": rule, "name": name, "in": inputs, "reject": code}


def wrong(rule, name, inputs, out, right):
    """A step whose stated output `out` is not the right one."""
    assert out != right, name
    return {"rule": rule, "name": name, "in": inputs, "wrong": out, "reject": "STEP_MISMATCH"}


def outcome(rule, name, inputs, function):
    """accept or refuse, as `function(**inputs)` decides."""
    try:
        return accept(rule, name, inputs, function())
    except Reject as reject:
        return refuse(rule, name, inputs, reject.code)


def refused(rule, name, inputs, code, function):
    """A refusal that must have exactly this code."""
    case = outcome(rule, name, inputs, function)
    assert case.get("reject") == code, (name, case.get("reject"), code)
    return case
