# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLAlchemy: what its connection pool does when it takes a connection back, and its ORM, over psycopg2 and asyncpg."""

import asyncio
import os
import select
import threading
import warnings

from scenario import CLIENTS, ROUNDS, absent, check, equal, in_threads, raises, run, until

try:
    import asyncpg  # noqa: the asyncpg engines need it
    import psycopg2.extras
    import sqlalchemy as sa
    from sqlalchemy import event, exc, orm
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.ext import asyncio as sa_asyncio
except ImportError as error:
    absent(str(error))

warnings.simplefilter("ignore")
PLACE = "{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ)
Base = orm.declarative_base()


class Author(Base):
    __tablename__ = "authors"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String, unique=True, nullable=False)
    tags = sa.Column(postgresql.JSONB)
    books = orm.relationship("Book", back_populates="author", cascade="all, delete-orphan", order_by="Book.title")


class Book(Base):
    __tablename__ = "books"
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.String, nullable=False)
    version = sa.Column(sa.Integer, nullable=False)
    author_id = sa.Column(sa.ForeignKey("authors.id"), nullable=False)
    author = orm.relationship(Author, back_populates="books")
    __mapper_args__ = {"version_id_col": version}


def engine(**more):
    return sa.create_engine("postgresql+psycopg2://" + PLACE, future=True, **more)


def async_engine(**more):
    return sa_asyncio.create_async_engine("postgresql+asyncpg://" + PLACE, future=True, **more)


def value(connection, sql, **values):
    return connection.execute(sa.text(sql), values).scalar_one()


# The pool


@check
def more_users_than_connections():
    pooled = engine(pool_size=3, max_overflow=1, pool_timeout=15)

    def work(index):
        for turn in range(6):
            with pooled.begin() as connection:
                equal(value(connection, "SELECT CAST(:n AS int)", n=index * 100 + turn), index * 100 + turn)

    in_threads(CLIENTS, work)
    equal(pooled.pool.checkedout(), 0)
    pooled.dispose()


@check
def a_returned_connection_is_rolled_back():
    pooled, watcher = engine(pool_size=1, max_overflow=0), engine()
    with pooled.begin() as connection:
        connection.execute(sa.text("CREATE TABLE returned (n int)"))
    for number in range(ROUNDS):
        connection = pooled.connect()
        connection.execute(sa.text("INSERT INTO returned VALUES (:n)"), {"n": number})
        connection.close()
        with watcher.connect() as other:
            equal(value(other, "SELECT count(*) FROM returned"), 0)


@check
def a_returned_connection_is_reset_by_a_hook():
    pooled = engine(pool_size=2, max_overflow=0, pool_reset_on_return=None)

    @event.listens_for(pooled, "reset")
    def reset(connection, _record):
        driver = connection.dbapi_connection
        driver.rollback()
        driver.autocommit = True
        with driver.cursor() as cursor:
            cursor.execute("DISCARD ALL")
        driver.autocommit = False

    for number in range(ROUNDS):
        with pooled.begin() as connection:
            equal(value(connection, "SHOW TimeZone"), "UTC")
            equal(value(connection, "SELECT coalesce(current_setting('app.number', true), '')"), "")
            connection.execute(sa.text(f"SET TimeZone = 'Asia/Tokyo'; SET app.number = '{number}'"))


@check
def a_failed_transaction_does_not_spoil_the_pool():
    pooled = engine(pool_size=1, max_overflow=0)
    for _ in range(ROUNDS):
        raises(exc.DataError, lambda: _divide(pooled))
        with pooled.connect() as connection:
            equal(value(connection, "SELECT 1"), 1)


def _divide(pooled):
    with pooled.connect() as connection:
        connection.execute(sa.text("SELECT 1 / 0"))


@check
def broken_connections_are_found_by_the_ping():
    pooled, killer = engine(pool_size=1, max_overflow=0, pool_pre_ping=True), engine()
    for _ in range(3):
        connection = pooled.connect()
        doomed = value(connection, "SELECT pg_backend_pid()")
        with killer.connect() as other:
            equal(value(other, "SELECT pg_terminate_backend(:pid)", pid=doomed), True)
        raises(exc.OperationalError, lambda: connection.execute(sa.text("SELECT 1")))
        connection.close()
        with pooled.connect() as fresh:
            equal(value(fresh, "SELECT 1"), 1)


@check
def isolation_levels_end_with_the_checkout():
    pooled = engine(pool_size=1, max_overflow=0)
    for _ in range(5):
        with pooled.connect() as connection:
            strict = connection.execution_options(isolation_level="SERIALIZABLE", postgresql_readonly=True)
            equal(value(strict, "SHOW transaction_isolation"), "serializable")
            equal(value(strict, "SHOW transaction_read_only"), "on")
        with pooled.connect() as connection:
            equal(value(connection, "SHOW transaction_isolation"), "read committed")
            equal(value(connection, "SHOW transaction_read_only"), "off")
        with pooled.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("SELECT 1"))
            equal(value(connection, "SHOW transaction_isolation"), "read committed")


@check
def a_schema_for_each_connection():
    with engine().begin() as connection:
        for tenant in ("tenant_0", "tenant_1"):
            connection.execute(sa.text(f"CREATE SCHEMA {tenant}"))
            connection.execute(sa.text(f"CREATE TABLE {tenant}.who AS SELECT '{tenant}' AS name"))
    engines = [engine(connect_args={"options": f"-csearch_path={tenant}"}) for tenant in ("tenant_0", "tenant_1")]
    for _ in range(ROUNDS):
        for number, pooled in enumerate(engines):
            with pooled.connect() as connection:
                equal(value(connection, "SELECT name FROM who"), f"tenant_{number}")


# The ORM


def _fresh_tables(pooled):
    Base.metadata.drop_all(pooled)
    Base.metadata.create_all(pooled)


@check
def objects_are_stored_and_loaded():
    pooled = engine()
    _fresh_tables(pooled)
    with orm.Session(pooled) as session:
        for number in range(20):
            author = Author(name=f"author {number}", tags={"number": number})
            author.books = [Book(title=f"book {number}.{index}") for index in range(3)]
            session.add(author)
        session.commit()
        found = session.scalars(sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)).all()
        equal([(a.name, a.tags["number"], len(a.books)) for a in found], [(f"author {n}", n, 3) for n in range(20)])
        session.delete(found[0])
        session.commit()
        equal(session.scalar(sa.select(sa.func.count()).select_from(Book)), 57)


@check
def units_of_work_and_savepoints():
    pooled = engine()
    _fresh_tables(pooled)
    with orm.Session(pooled) as session:
        session.add(Author(name="one"))
        session.flush()
        for _ in range(3):
            try:
                with session.begin_nested():
                    session.add(Author(name="one"))
            except exc.IntegrityError as error:
                equal(error.orig.pgcode, "23505")
        session.add(Author(name="two"))
        session.commit()
        equal(session.scalars(sa.select(Author.name).order_by(Author.name)).all(), ["one", "two"])


@check
def a_stale_version_is_noticed():
    pooled = engine()
    _fresh_tables(pooled)
    with orm.Session(pooled) as session:
        session.add(Author(name="one", books=[Book(title="first")]))
        session.commit()
    with orm.Session(pooled) as ours, orm.Session(pooled) as theirs:
        mine, other = ours.scalars(sa.select(Book)).one(), theirs.scalars(sa.select(Book)).one()
        other.title = "theirs"
        theirs.commit()
        mine.title = "mine"
        raises(orm.exc.StaleDataError, ours.commit)


@check
def sessions_of_many_threads():
    pooled = engine(pool_size=5, max_overflow=0, pool_timeout=15)
    _fresh_tables(pooled)

    def work(index):
        for turn in range(5):
            with orm.Session(pooled) as session, session.begin():
                session.add(Author(name=f"{index}.{turn}", tags={"index": index}))

    in_threads(CLIENTS, work)
    with orm.Session(pooled) as session:
        equal(session.scalar(sa.select(sa.func.count()).select_from(Author)), 5 * CLIENTS)
        equal(session.scalar(sa.select(sa.func.sum(Author.tags["index"].as_integer()))), 5 * sum(range(CLIENTS)))


@check
def results_are_streamed_by_a_server_side_cursor():
    with engine().connect() as connection:
        result = connection.execution_options(stream_results=True, max_row_buffer=100).execute(sa.text("SELECT generate_series(1, 3050)"))
        equal(sum(row[0] for row in result), 3050 * 3051 // 2)


@check
def inserts_in_batches_return_their_keys():
    pooled = engine(executemany_mode="values_only")
    _fresh_tables(pooled)
    with orm.Session(pooled) as session:
        authors = [Author(name=f"author {number}") for number in range(1500)]
        session.add_all(authors)
        session.commit()
        equal(len({author.id for author in authors}), 1500)


@check
def two_phase_transactions():
    pooled = engine()
    with pooled.begin() as connection:
        connection.execute(sa.text("CREATE TABLE two_phase_s (n int)"))
    for number in range(4):
        with pooled.connect() as connection:
            transaction = connection.begin_twophase()
            connection.execute(sa.text("INSERT INTO two_phase_s VALUES (:n)"), {"n": number})
            transaction.prepare()
            transaction.commit() if number % 2 else transaction.rollback()
    with pooled.connect() as connection:
        equal(connection.execute(sa.text("SELECT n FROM two_phase_s ORDER BY n")).scalars().all(), [1, 3])


@check
def copy_and_large_objects_through_the_raw_connection():
    pooled = engine(pool_size=1)
    raw = pooled.raw_connection()
    with raw.cursor() as cursor:
        cursor.execute("CREATE TABLE copied_s (n int)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO copied_s VALUES %s", [(n,) for n in range(100)])
        with open(os.devnull, "w", encoding="utf-8") as sink:
            cursor.copy_expert("COPY copied_s TO STDOUT", sink)
        equal(cursor.rowcount, 100)
    large = raw.lobject(0, "wb")
    large.write(b"large")
    identity = large.oid
    raw.commit()
    raw.close()
    raw = pooled.raw_connection()
    equal(raw.lobject(identity, "rb").read(), b"large")
    raw.close()


@check
def a_query_that_is_cancelled():
    pooled = engine(pool_size=1, max_overflow=0)
    for _ in range(2):
        with pooled.connect() as connection:
            driver = connection.connection.dbapi_connection
            timer = threading.Timer(0.3, driver.cancel)
            timer.start()
            raises(exc.OperationalError, lambda: connection.execute(sa.text("SELECT pg_sleep(15)")))
            timer.join()
        with pooled.connect() as connection:
            equal(value(connection, "SELECT 1"), 1)


@check
def a_listener_on_a_raw_connection():
    pooled = engine(isolation_level="AUTOCOMMIT")
    raw = pooled.raw_connection()
    driver = raw.dbapi_connection
    driver.autocommit = True
    with driver.cursor() as cursor:
        cursor.execute("LISTEN news_s")
    for turn in range(3):
        with engine().begin() as connection:
            connection.execute(sa.select(sa.func.pg_notify("news_s", str(turn))))

        def heard(turn=turn):
            select.select([driver], [], [], 0.05)
            driver.poll()
            return any(n.payload == str(turn) for n in driver.notifies)

        until(heard, f"notification {turn}", seconds=3)
    raw.close()


# Over asyncpg


@check
async def asynchronous_sessions():
    pooled = async_engine(pool_size=4, max_overflow=0, pool_timeout=15)
    async with pooled.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)

    async def work(index):
        for turn in range(4):
            async with sa_asyncio.AsyncSession(pooled) as session, session.begin():
                session.add(Author(name=f"{index}.{turn}", tags={"index": index}))

    await asyncio.gather(*map(work, range(8)))
    async with sa_asyncio.AsyncSession(pooled) as session:
        names = (await session.scalars(sa.select(Author.name))).all()
    equal(sorted(names), sorted(f"{index}.{turn}" for index in range(8) for turn in range(4)))
    await pooled.dispose()


@check
async def asynchronous_streams():
    pooled = async_engine()
    async with pooled.connect() as connection:
        result = await connection.stream(sa.text("SELECT generate_series(1, 1050)"))
        equal(sum([row[0] async for row in result]), 1050 * 1051 // 2)
    await pooled.dispose()


@check
async def an_asynchronous_pool_survives_errors():
    pooled = async_engine(pool_size=1, max_overflow=0)
    for number in range(5):
        try:
            async with pooled.begin() as connection:
                await connection.execute(sa.text("SELECT 1 / CAST(:n AS int)"), {"n": 0})
            raise AssertionError("no error")
        except exc.DBAPIError as error:
            equal(error.orig.pgcode, "22012")
        async with pooled.connect() as connection:
            equal((await connection.execute(sa.text("SELECT CAST(:n AS int)"), {"n": number})).scalar_one(), number)
    await pooled.dispose()


# Last, since it meets other checks where settings do not follow their client


@check
def a_search_path_set_at_connect():
    pooled, plain = engine(), engine()

    @event.listens_for(pooled, "connect")
    def choose(connection, _record):
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = chosen, public")
        connection.commit()

    with plain.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA chosen"))
    for _ in range(ROUNDS):
        with pooled.connect() as connection:
            equal(value(connection, "SHOW search_path"), "chosen, public")
        with plain.connect() as connection:
            equal(value(connection, "SHOW search_path"), '"$user", public')


run()
