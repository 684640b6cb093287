"""The review console at ``/console``: server-rendered pages for people, beside the API and the worker.

To add a page:

1. ``service/console/NAME.py`` with ``router = APIRouter(prefix="/console/NAME")``; a route ends in
   ``return page(request, "NAME.html", value=…)`` (``render.py``). ``ticket_services(request)`` and its like reach a
   capability; ``require`` checks a scope.
2. ``templates/NAME.html`` extends ``base.html`` (blocks ``title``, ``head``, ``main``). Scripts and styles are files of
   ``static/``, linked by ``static("NAME.js")``: inline ones are refused by the Content-Security-Policy.
3. ``words/NAME.yaml`` holds its words, Chinese and English side by side; ``t("NAME.key")`` gives those of the page's language.
4. One line in ``pages.py`` puts it into the application and, with a ``scopes``, into the navigation.

Every request that is not a GET carries the session's token: a form as ``<input type="hidden" name="csrf_token"
value="{{ csrf_token }}">``, a script as the header ``X-CSRF-Token`` from ``<meta name="csrf-token">``; htmx sends it by itself.
What a route raises becomes an error page, or problem+json for a caller that does not ask for HTML.
"""
