"""The API's error envelope, and one constructor for each API error that the local cloud answers with."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """An answer `{"error": {"code", "message", "details"}}` with its HTTP status."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message, "details": details}}


def unauthorized() -> ApiError:
    return ApiError(401, "unauthorized", "unable to authenticate")


def not_found(what: str) -> ApiError:
    return ApiError(404, "not_found", f"{what} not found")


def invalid(field: str, *messages: str) -> ApiError:
    details = {"fields": [{"name": field, "messages": list(messages)}]}
    return ApiError(422, "invalid_input", f"invalid input in field '{field}': {'; '.join(messages)}", details)


def not_unique(field: str, message: str) -> ApiError:
    return ApiError(409, "uniqueness_error", message, {"fields": [{"name": field}]})


def protected(what: str) -> ApiError:
    return ApiError(423, "protected", f"{what} is protected against this: switch the protection off first")


def too_many(hourly: int) -> ApiError:
    return ApiError(429, "rate_limit_exceeded", f"limit of {hourly} requests per hour reached")


def refused(code: str, message: str, status: int = 422) -> ApiError:
    """An error code that belongs to one operation, as the API's reference lists it there."""
    return ApiError(status, code, message)
