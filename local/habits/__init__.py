"""Fake APIs by their habits: `Api` says what one does, as data; `running_habits` serves them."""

from local.habits.book import Book
from local.habits.habit import Api, Auth, Churn, Limit, Listing
from local.habits.running import Habits, Reply, RunningApi, running_habits
from local.habits.seen import Seen

__all__ = [
    "Api",
    "Auth",
    "Book",
    "Churn",
    "Habits",
    "Limit",
    "Listing",
    "Reply",
    "RunningApi",
    "Seen",
    "running_habits",
]
