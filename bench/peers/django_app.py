"""Tickets as Django REST framework users write them: models, serializers, views, gunicorn threads.

Triggers in the tables keep times, versions, words and history, here as for everybody else.
"""

import json
import os

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["BENCH_DATABASE"],
            "USER": "iris",
            "HOST": os.environ["BENCH_SOCKET"],
            # Connections stay open, one for each thread.
            "CONN_MAX_AGE": None,
        }
    },
    INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

from django.contrib.postgres.fields import ArrayField  # noqa: E402 (after the settings)
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import DatabaseError, models  # noqa: E402
from django.db.models import Q  # noqa: E402
from django.db.models.expressions import RawSQL  # noqa: E402
from django.http import StreamingHttpResponse  # noqa: E402
from django.shortcuts import get_object_or_404  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.utils.encoders import JSONEncoder  # noqa: E402
from rest_framework.views import APIView, exception_handler  # noqa: E402

TIMES = ("created", "updated", "closed", "version")


class Ticket(models.Model):
    ticket_id = models.BigAutoField(primary_key=True)
    title = models.CharField(max_length=300)
    description = models.TextField(null=True)
    status = models.TextField(default="open")
    assignee = models.CharField(max_length=100, null=True)
    reporter = models.CharField(max_length=100, default="iris")
    priority = models.CharField(
        max_length=6, choices=[(each, each) for each in ("low", "normal", "high", "urgent")],
        default="normal",
    )  # fmt: skip
    labels = ArrayField(models.CharField(max_length=50), size=50, default=list)
    fields = models.JSONField(default=dict)
    due = models.DateTimeField(null=True)
    created = models.DateTimeField(null=True)
    updated = models.DateTimeField(null=True)
    closed = models.DateTimeField(null=True)
    version = models.BigIntegerField(null=True)

    class Meta:
        app_label, managed, db_table = "bench", False, "tickets"


class Comment(models.Model):
    comment_id = models.BigAutoField(primary_key=True)
    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="comments")
    author = models.CharField(max_length=100, default="iris")
    body = models.TextField(max_length=100_000)
    created = models.DateTimeField(null=True)
    updated = models.DateTimeField(null=True)

    class Meta:
        app_label, managed, db_table, ordering = "bench", False, "comments", ["comment_id"]


class Link(models.Model):
    pk = models.CompositePrimaryKey("ticket_id", "kind", "other_id")
    ticket_id = models.BigIntegerField()
    kind = models.TextField()
    other_id = models.BigIntegerField()

    class Meta:
        app_label, managed, db_table = "bench", False, "links"


class CommentSerializer(serializers.ModelSerializer):
    ticket_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = Comment
        fields = ("comment_id", "ticket_id", "author", "body", "created", "updated")
        read_only_fields = ("comment_id", "created", "updated")


class TicketSerializer(serializers.ModelSerializer):
    class Meta:
        model = Ticket
        fields = tuple(field.name for field in Ticket._meta.fields)
        read_only_fields = ("ticket_id", *TIMES)


class TicketWholeSerializer(TicketSerializer):
    comments = CommentSerializer(many=True, read_only=True)
    links = serializers.SerializerMethodField()

    class Meta(TicketSerializer.Meta):
        fields = (*TicketSerializer.Meta.fields, "comments", "links")

    def get_links(self, ticket):
        mine = Link.objects.filter(Q(ticket_id=ticket.pk) | Q(other_id=ticket.pk))
        return list(
            mine.order_by("ticket_id", "kind", "other_id").values("ticket_id", "kind", "other_id")
        )


def refuse(error, context):
    """Answer 422 where a rule of the database refuses."""
    if isinstance(error, DatabaseError):
        return Response({"detail": str(error)}, 422)
    return exception_handler(error, context)


class TicketsView(APIView):
    def get(self, request):
        given, query = request.query_params, Ticket.objects.all()
        if "open" in given:
            query = query.filter(closed__isnull=given["open"] == "true")
        if "assignee" in given:
            query = query.filter(assignee=given["assignee"])
        if "q" in given:
            text = "SELECT ticket_id FROM searches WHERE words @@ plainto_tsquery('simple', %s)"
            query = query.filter(ticket_id__in=RawSQL(text, [given["q"]]))
        first = ["-priority"] if given.get("sort") == "-priority" else []
        start, limit = int(given.get("offset", 0)), int(given.get("limit", 50))
        query = query.order_by(*first, "-created", "-ticket_id")[start : start + limit]
        return Response(TicketSerializer(query, many=True).data)

    def put(self, request):
        serializer = TicketSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save().refresh_from_db(fields=TIMES)
        return Response(serializer.data, 201)


class TicketView(APIView):
    def get(self, request, ticket_id):
        ticket = get_object_or_404(Ticket, pk=ticket_id)
        etag = f'"{ticket.version}"'
        if request.headers.get("If-None-Match") == etag:
            return Response(status=304, headers={"ETag": etag})
        return Response(TicketWholeSerializer(ticket).data, headers={"ETag": etag})

    def put(self, request, ticket_id):
        ticket = get_object_or_404(Ticket, pk=ticket_id)
        serializer = TicketSerializer(ticket, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        # Only what was given, as it is to be changed.
        for name, value in serializer.validated_data.items():
            setattr(ticket, name, value)
        ticket.save(update_fields=list(serializer.validated_data))
        ticket.refresh_from_db(fields=TIMES)
        return Response(TicketSerializer(ticket).data)


class CommentsView(APIView):
    def put(self, request, ticket_id):
        serializer = CommentSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save(ticket_id=ticket_id).refresh_from_db(fields=("created", "updated"))
        return Response(serializer.data, 201)


class BulkView(APIView):
    def put(self, request):
        serializer = TicketSerializer(data=request.data, many=True)
        serializer.is_valid(raise_exception=True)
        made = Ticket.objects.bulk_create(Ticket(**each) for each in serializer.validated_data)
        # bulk_create() gives numbers, not what triggers made of the rest.
        rows = Ticket.objects.filter(pk__in=[each.pk for each in made]).order_by("ticket_id")
        return Response(TicketSerializer(rows, many=True).data)


class ExportView(APIView):
    def get(self, request):
        tickets = Ticket.objects.order_by("-created", "-ticket_id").iterator(chunk_size=1000)
        shown = map(TicketSerializer().to_representation, tickets)
        lines = (json.dumps(each, cls=JSONEncoder) + "\n" for each in shown)
        return StreamingHttpResponse(lines, content_type="application/x-ndjson")


settings.REST_FRAMEWORK["EXCEPTION_HANDLER"] = f"{__name__}.refuse"
urlpatterns = [
    path("tickets", TicketsView.as_view()),
    path("tickets/<int:ticket_id>", TicketView.as_view()),
    path("tickets/<int:ticket_id>/comments", CommentsView.as_view()),
    path("bulk", BulkView.as_view()),
    path("export", ExportView.as_view()),
]
app = get_wsgi_application()
