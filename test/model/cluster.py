"""Servers of a run: a primary and, if wanted, a standby, from a template that is made once."""

import os
import shutil
import signal
import subprocess
import time

import psycopg
from psycopg import pq

GIVE_UP = 60        # seconds

SETTINGS = """
listen_addresses = ''
shared_preload_libraries = 'rocketq'
rocketq.segment_size = '4MB'
rocketq.keeper_interval = '20ms'
rocketq.preallocate_segments = 1
fsync = off
autovacuum = off
shared_buffers = '16MB'
max_connections = 20
max_wal_size = '64MB'
min_wal_size = '8MB'
wal_level = replica
wal_keep_size = '256MB'
log_line_prefix = '%m [%p] %q%a '
log_statement = all
restart_after_crash = on
"""


class ServerError(Exception):
    """The server is down although it must be up."""


def quote(value):
    return "'" + str(value).replace("'", "''") + "'"


class Connection:
    """A connection that runs one statement at a time."""
    def __init__(self, server, database, name):
        self.server = server
        self.database = database
        self.name = name
        self.pg = None

    def connect(self, give_up=GIVE_UP):
        deadline = time.monotonic() + give_up
        while True:
            self.pg = pq.PGconn.connect(
                ("host=%s port=%d user=postgres dbname=%s application_name=%s "
                 "options='-c lock_timeout=20s -c statement_timeout=60s'"
                 % (self.server.sockets, self.server.port, self.database, self.name)).encode())
            if self.pg.status == pq.ConnStatus.OK:
                return self
            if time.monotonic() > deadline:
                raise ServerError(self.pg.error_message.decode())
            time.sleep(0.02)

    def close(self):
        if self.pg is not None:
            self.pg.finish()
            self.pg = None

    def run(self, sql):
        """(SQLSTATE or None, rows of text values or the error's message)."""
        return self.outcome(self.pg.exec_(sql.encode()))

    def start_and_stop(self, sql):
        """Start a statement that stops its process; false if it has ended instead."""
        self.pg.send_query(sql.encode())
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            with open('/proc/%d/stat' % self.pg.backend_pid, encoding='utf-8') as stat:
                if stat.read().rsplit(')', 1)[1].split()[0] == 'T':
                    return True
            self.pg.consume_input()
            if not self.pg.is_busy():
                return False
            time.sleep(0.002)
        raise ServerError('a statement neither ends nor stops')

    def kill(self):
        os.kill(self.pg.backend_pid, signal.SIGKILL)

    def finish(self):
        """The outcome of the statement that was started."""
        last = None
        try:
            result = self.pg.get_result()
            while result is not None:
                last = result
                result = self.pg.get_result()
        except psycopg.OperationalError:
            pass
        return ('gone', '') if last is None else self.outcome(last)

    @staticmethod
    def outcome(result):
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return None, [tuple(None if result.get_value(r, c) is None
                                else result.get_value(r, c).decode()
                                for c in range(result.nfields))
                          for r in range(result.ntuples)]
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        return (state.decode() if state else 'gone',
                result.error_message.decode(errors='replace').strip())

    def rows(self, sql):
        state, rows = self.run(sql)
        if state is not None:
            raise ServerError('%s\n%s: %s' % (sql, state, rows))
        return rows


class Server:
    def __init__(self, bindir, directory, port, extra=''):
        self.bindir = bindir
        self.directory = directory
        self.sockets = os.path.dirname(directory)
        self.log = directory + '.log'
        self.port = port
        self.extra = extra

    def tool(self, name, *args):
        done = subprocess.run([os.path.join(self.bindir, name)] + list(args),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise ServerError('%s failed:\n%s' % (name, done.stdout.decode()))

    def initdb(self, databases):
        self.tool('initdb', '-D', self.directory, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8',
                  '--no-locale', '-N', '--wal-segsize=1')
        with open(os.path.join(self.directory, 'postgresql.conf'), 'a', encoding='utf-8') as conf:
            conf.write(SETTINGS)
        self.start()
        admin = Connection(self, 'postgres', 'setup').connect()
        for database in databases:
            admin.rows('CREATE DATABASE ' + database)
            there = Connection(self, database, 'setup').connect()
            there.rows('CREATE EXTENSION rocketq')
            there.close()
        admin.close()
        self.stop('fast')

    def configure(self, settings):
        with open(os.path.join(self.directory, 'postgresql.auto.conf'), 'a', encoding='utf-8') as conf:
            conf.writelines("%s = '%s'\n" % item for item in settings.items())

    def start(self):
        # A child of this process, in a session of its own; one started by
        # pg_ctl would become a child of init.
        self.tool('pg_ctl', '-D', self.directory, '-w', '-t', str(GIVE_UP), '-l', self.log, '-o',
                  '-p %d -k %s' % (self.port, self.sockets), 'start')

    def stop(self, mode):
        self.tool('pg_ctl', '-D', self.directory, '-w', '-t', str(GIVE_UP), '-m', mode, 'stop')

    def is_running(self):
        return os.path.exists(os.path.join(self.directory, 'postmaster.pid'))

    def complaints(self):
        """Lines of the server log that no run may produce."""
        bad = ('PANIC', 'TRAP:', 'terminated by signal', 'runtime error:')
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return [line.rstrip() for line in log if any(b in line for b in bad)]


class Cluster:
    """New servers, each time equal to the ones before."""
    def __init__(self, bindir, work, databases):
        self.bindir = bindir
        self.work = work
        self.databases = databases
        self.template = os.path.join(work, 'template')
        self.primary = None
        self.standby = None
        self.retired = []

    def prepare(self):
        Server(self.bindir, self.template, 5432).initdb(self.databases)

    def fresh(self, settings, standby):
        self.remove()
        self.primary = Server(self.bindir, os.path.join(self.work, 'primary'), 5432)
        shutil.copytree(self.template, self.primary.directory)
        self.primary.configure(settings)
        if standby:
            self.standby = Server(self.bindir, os.path.join(self.work, 'standby'), 5433)
            shutil.copytree(self.template, self.standby.directory)
            self.standby.configure(dict(settings, primary_conninfo='host=%s port=5432 user=postgres'
                                        % self.work, wal_retrieve_retry_interval='20ms',
                                        hot_standby='on'))
            with open(os.path.join(self.standby.directory, 'standby.signal'), 'w', encoding='utf-8'):
                pass
        for server in self.servers():
            server.start()

    def fail_over(self):
        self.primary.stop('immediate')
        self.retired.append(self.primary)
        self.standby.tool('pg_ctl', '-D', self.standby.directory, '-w', '-t', str(GIVE_UP), 'promote')
        self.primary, self.standby = self.standby, None

    def servers(self):
        return [s for s in (self.primary, self.standby) if s is not None]

    def remove(self):
        for server in self.servers() + self.retired:
            if server.is_running():
                try:
                    server.stop('immediate')
                except ServerError:
                    pass
            shutil.rmtree(server.directory, ignore_errors=True)
            if os.path.exists(server.log):
                os.remove(server.log)
        self.primary = self.standby = None
        self.retired = []
