# SPDX-License-Identifier: GPL-3.0-or-later
"""Django's ORM over psycopg2: its schema editor, atomic blocks, persistent connections, and the server-side cursors of
iterator(), which are WITH HOLD outside a transaction."""

import logging
import os
import threading

from scenario import CLIENTS, ROUNDS, absent, check, equal, in_threads, raises, run

try:
    import django
    import psycopg2.extras  # noqa: what Django stands on
    from django.conf import settings
except ImportError as error:
    absent(str(error))

PLACE = {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
         "PASSWORD": os.environ["PGPASSWORD"], "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
         "CONN_MAX_AGE": None}
settings.configure(
    DATABASES={"default": PLACE,
               "strict": {**PLACE, "OPTIONS": {"isolation_level": 3, "application_name": "strict"}},
               "tokyo": {**PLACE, "TIME_ZONE": "Asia/Tokyo"},
               "schema": {**PLACE, "OPTIONS": {"options": "-c search_path=shelf,public"}}},
    USE_TZ=True, TIME_ZONE="UTC", INSTALLED_APPS=["django.contrib.contenttypes"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
django.setup()
logging.disable(logging.CRITICAL)

from django.contrib.postgres.fields import ArrayField  # noqa: after setup, as Django wants it
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, connections, models, transaction
from django.db.models import Count, F, Sum
from django.db.utils import DataError, ProgrammingError


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)
    tags = ArrayField(models.CharField(max_length=20), default=list)
    facts = models.JSONField(default=dict)

    class Meta:
        app_label = "library"


class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    title = models.CharField(max_length=50)
    copies = models.IntegerField(default=0)
    added = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "library"
        constraints = [models.CheckConstraint(check=models.Q(copies__gte=0), name="copies_not_negative")]


def value(sql, *values, using="default"):
    with connections[using].cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


def in_own_connections(count, work):
    def closing(index):
        try:
            work(index)
        finally:
            connections.close_all()
    in_threads(count, closing)


# The first check makes the tables the others use


@check
def the_schema_editor_makes_tables():
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    equal({"library_author", "library_book", "django_content_type"} <= set(connection.introspection.table_names()), True)


@check
def objects_are_stored_and_found():
    for number in range(20):
        author = Author.objects.create(name=f"author {number}", tags=["a", f"t{number}"], facts={"number": number})
        Book.objects.bulk_create(Book(author=author, title=f"book {number}.{index}", copies=index) for index in range(5))
    equal(Author.objects.filter(facts__number__gte=10, tags__contains=["a"]).count(), 10)
    equal(Book.objects.aggregate(total=Sum("copies"))["total"], 200)
    found = Book.objects.values("author__name").annotate(count=Count("id")).order_by("author__id")
    equal([(row["author__name"], row["count"]) for row in found], [(f"author {n}", 5) for n in range(20)])
    equal({book.author.name for book in Book.objects.select_related("author")}, {f"author {n}" for n in range(20)})
    Book.objects.filter(author__name="author 0").delete()
    Author.objects.get(name="author 0").delete()
    equal(Book.objects.filter(title__startswith="book 0.").exists(), False)


@check
def atomic_blocks_nest():
    for turn in range(5):
        with transaction.atomic():
            Author.objects.create(name=f"outer {turn}")
            try:
                with transaction.atomic():
                    Author.objects.create(name=f"inner {turn}")
                    Author.objects.create(name=f"outer {turn}")
            except IntegrityError:
                pass
    equal((Author.objects.filter(name__startswith="outer").count(), Author.objects.filter(name__startswith="inner").count()), (5, 0))


@check
def a_rolled_back_block_leaves_nothing_and_runs_no_hook():
    ran = []

    def fail():
        with transaction.atomic():
            transaction.on_commit(lambda: ran.append("never"))
            Author.objects.create(name="ghost")
            raise KeyError

    for _ in range(5):
        raises(KeyError, fail)
        with transaction.atomic():
            transaction.on_commit(lambda: ran.append("done"))
    equal((Author.objects.filter(name="ghost").exists(), ran), (False, ["done"] * 5))


@check
def rows_are_locked_by_select_for_update():
    author = Author.objects.create(name="counted")
    book = Book.objects.create(author=author, title="counted")

    def work(_index):
        for _ in range(4):
            with transaction.atomic():
                locked = Book.objects.select_for_update().get(id=book.id)
                locked.copies += 1
                locked.save()
            Book.objects.filter(id=book.id).update(copies=F("copies") + 1)

    in_own_connections(6, work)
    book.refresh_from_db()
    equal(book.copies, 48)


@check
def many_threads_with_connections_of_their_own():
    def work(index):
        for turn in range(6):
            author, _ = Author.objects.get_or_create(name=f"thread {index}")
            Book.objects.create(author=author, title=f"{index}.{turn}")
        equal(sorted(author.books.values_list("title", flat=True)), [f"{index}.{turn}" for turn in range(6)])

    in_own_connections(CLIENTS, work)


@check
def iterator_walks_a_server_side_cursor_inside_a_transaction():
    with transaction.atomic():
        titles = [book.title for book in Book.objects.order_by("id").iterator(chunk_size=10)]
    equal(len(titles), Book.objects.count())


@check
def iterator_walks_a_server_side_cursor_outside_a_transaction():
    expected = Book.objects.count()
    for _ in range(3):
        seen = 0
        for _book in Book.objects.order_by("id").iterator(chunk_size=5):
            seen += 1
            if seen % 5 == 0:
                Author.objects.count()  # other queries in between
        equal(seen, expected)


@check
def errors_are_translated_and_recovered_from():
    author = Author.objects.first()
    for _ in range(3):
        raises(IntegrityError, lambda: Book.objects.create(author=author, title="bad", copies=-1))
        raises(DataError, lambda: value("SELECT 1 / 0"))
        raises(ProgrammingError, lambda: value("SELECT * FROM no_such_table"))
        equal(value("SELECT 1"), 1)


@check
def a_persistent_connection_that_broke_is_replaced():
    for _ in range(3):
        doomed = value("SELECT pg_backend_pid()")
        with transaction.atomic():
            doomed = value("SELECT pg_backend_pid()")
            equal(value("SELECT pg_terminate_backend(%s)", doomed, using="strict"), True)
            raises(OperationalError, lambda: value("SELECT 1"))
            connection.close()
        connection.close_if_unusable_or_obsolete()
        equal(value("SELECT 1"), 1)


@check
def each_connection_has_its_own_settings():
    for _ in range(ROUNDS):
        equal(value("SHOW TimeZone"), "UTC")
        equal(value("SHOW TimeZone", using="tokyo"), "Asia/Tokyo")
        equal(value("SHOW application_name", using="strict"), "strict")
        with transaction.atomic(using="strict"):
            equal(value("SHOW transaction_isolation", using="strict"), "serializable")
        equal(value("SHOW transaction_isolation"), "read committed")


@check
def a_schema_chosen_in_the_options():
    value("SELECT set_config('app.none', '', true)")
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA shelf; CREATE TABLE shelf.what AS SELECT 'shelf' AS name; CREATE TABLE public.what AS SELECT 'public' AS name")
    for _ in range(ROUNDS):
        equal(value("SELECT name FROM what"), "public")
        equal(value("SELECT name FROM what", using="schema"), "shelf")


@check
def copy_and_raw_queries():
    with connection.cursor() as cursor:
        with open(os.devnull, "w", encoding="utf-8") as sink:
            cursor.copy_expert("COPY library_author TO STDOUT", sink)
        equal(cursor.rowcount, Author.objects.count())
    equal(len(list(Author.objects.raw("SELECT * FROM library_author WHERE id < %s", [10]))), Author.objects.filter(id__lt=10).count())


@check
def large_objects_through_the_driver():
    with transaction.atomic():
        connection.ensure_connection()
        large = connection.connection.lobject(0, "wb")
        large.write(b"large")
        identity = large.oid
        large.close()
    with transaction.atomic():
        equal(connection.connection.lobject(identity, "rb").read(), b"large")


@check
def notices_through_the_driver():
    for turn in range(5):
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE NOTICE 'turn {turn}'; END $$")
    equal([notice for notice in connection.connection.notices if "turn" in notice], [f"NOTICE:  turn {turn}\n" for turn in range(5)])


@check
def a_query_that_is_cancelled():
    value("SELECT 1")
    for _ in range(2):
        timer = threading.Timer(0.3, connection.connection.cancel)
        timer.start()
        raises(OperationalError, lambda: value("SELECT pg_sleep(15)"))
        timer.join()
        equal(value("SELECT 1"), 1)


@check
def the_schema_changes_under_persistent_connections():
    equal(Author.objects.first() is not None, True)
    extra = models.IntegerField(default=7)
    extra.set_attributes_from_name("extra")
    with connection.schema_editor() as editor:
        editor.add_field(Author, extra)
    for _ in range(ROUNDS):
        equal(value("SELECT extra FROM library_author LIMIT 1"), 7)


run()
