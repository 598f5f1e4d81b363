"""The page for people: fixed files for the browser, and a web server that hands them out.

`server` also passes two requests of the page on to the DEEPaaS service (`service`), so that page and answers come
from one address, which browsers ask for. It imports no model: what the page knows, the REST API has told it.
"""
