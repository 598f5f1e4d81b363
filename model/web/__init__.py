"""Protection of the web servers, shared by the service and the web page.

origins.py      the name of the server in a request, and the page that sent it
connections.py  time limits and a bound on open connections
"""
