"""The web page: static files for the browser, and the web server that delivers them.

The server also forwards two requests of the page to the DEEPaaS service (`service`), so that page and predictions have
the same origin, as browsers require. It loads no models; all data come from the REST API.
"""
