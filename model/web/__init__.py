"""Running and protecting the web servers, shared by the service, the web page and the studio.

origins.py       the name of the server in a request, and the page that sent it
connections.py   time limits and a bound on open connections
static_files.py  static files, and the headers of all responses
running.py       running a server until it is stopped (the web page and the studio)
"""
