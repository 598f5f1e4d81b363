"""Keys of what the application holds, for all routes."""

from aiohttp import web

from model.page.service import Service
from model.studio.access import Access
from model.studio.events import Events
from model.studio.exposure import Exposure
from model.studio.tasks import Tasks
from model.workspace import Workspace

WORKSPACE = web.AppKey("workspace", Workspace)
EVENTS = web.AppKey("events", Events)
SERVICE = web.AppKey("service", Service)
ACCESS = web.AppKey("access", Access)
EXPOSURE = web.AppKey("exposure", Exposure)
TASKS = web.AppKey("tasks", Tasks)
