"""The review console at ``/console``: server-rendered pages for people, beside the API and the worker.

To add a page:

1. ``service/console/NAME.py`` with ``router = APIRouter(prefix="/console/NAME")``; a route ends in
   ``return page(request, "NAME.html", value=…)`` (``render.py``). ``ticket_services(request)`` and its like reach a
   capability; ``require`` checks a scope.
2. ``templates/NAME.html`` extends ``base.html`` (blocks ``title``, ``head``, ``main``). Scripts and styles are files of
   ``static/``, linked by ``static("NAME.js")``: the Content-Security-Policy blocks inline ones.
3. ``words/NAME.yaml`` has its texts in Chinese and English; ``t("NAME.key")`` returns the one in the page's language.
4. One line in ``pages.py`` adds it to the application and to the navigation.

Every request except GET carries the session's CSRF token: a form as ``<input type="hidden" name="csrf_token"
value="{{ csrf_token }}">``, a script as the header ``X-CSRF-Token`` from ``<meta name="csrf-token">``; htmx sends it by itself.
An error that a route raises becomes an error page, or problem+json for a caller that does not accept HTML.
"""
