# SPDX-License-Identifier: Apache-2.0
"""`proctrack exporter`: what Prometheus and others scrape, read with parsers that are not ours."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from typing import Any, Iterator
from unittest import SkipTest

from blackbox import programs
from blackbox.wire import DEADLINE
from test_command import FAILED, USAGE, CommandCase, command

try:
    from prometheus_client import parser as classic
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    classic = openmetrics = None

PACKAGING = pathlib.Path(os.environ["PROCTRACK_PACKAGING"])
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
CONNECTIONS = 32  # as many does it take at a time


class Exporter:
    """One at work."""

    def __init__(self, case: CommandCase, *words: object, **environment: str) -> None:
        self.process = programs.spawn(
            command("exporter", "--listen", "127.0.0.1:0", "--json", *words), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=case.environment(**environment))
        case.addCleanup(self._end, case)
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
        assert ready, "it does not say where it serves"
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.url = json.loads(line)["url"]
        self.port = int(re.fullmatch(r"http://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)/metrics", self.url)[1])
        self.errors = ""

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its status."""
        self.process.send_signal(number)
        _, self.errors = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode

    def _end(self, case: CommandCase) -> None:
        if self.process.poll() is None:
            case.assertEqual(self.end(), 0, self.errors)
        self.process.stdout.close()
        self.process.stderr.close()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            yield connection
        finally:
            connection.close()

    def ask(self, method: str = "GET", path: str = "/metrics", body: str | None = None,
            **headers: str) -> tuple[http.client.HTTPResponse, str]:
        with self.connection() as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response, response.read().decode()

    def metrics(self, **headers: str) -> dict[str, Any]:
        """The families by name."""
        if openmetrics is None:
            raise SkipTest("python3-prometheus-client is not installed")
        response, text = self.ask(Accept=OPENMETRICS, **headers)
        assert response.status == 200, text
        return {family.name: family for family in openmetrics.text_string_to_metric_families(text)}

    def value(self, name: str, **labels: str) -> float | None:
        """Of one sample, by its own name."""
        for family in self.metrics().values():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def until(self, name: str, value: float, **labels: str) -> None:
        programs.wait_for(lambda: self.value(name, **labels) == value, f"{name} is {value}")


def promtool(*words: object, text: str = "") -> subprocess.CompletedProcess[str]:
    if not shutil.which("promtool"):
        raise SkipTest("promtool is not installed; Debian's package prometheus has it, with a server that it starts")
    return subprocess.run(["promtool", *map(str, words)], input=text, text=True, capture_output=True,
                          timeout=DEADLINE)


class Metrics(CommandCase):
    """What it tells."""

    def test_each_counter_and_gauge_of_module_and_broker_is_there_with_a_sentence(self) -> None:
        families = Exporter(self).metrics()
        for prefix, told in (("proctrack", self.control("stats")), ("wpsd", self.broker.rpc("brokerinfo"))):
            for kind in ("counter", "gauge"):
                for name in told[f"{kind}s"]:
                    family = families[f"{prefix}_" + re.sub(r"_ms$", "_seconds", name)]
                    self.assertEqual((family.type, len(family.samples)), (kind, 1), name)
                    self.assertNotIn("newer version", family.documentation, name)
        told = [family.documentation for family in families.values()]
        self.assertEqual(len(told), len(set(told)))

    def test_the_older_format_tells_the_same(self) -> None:
        exporter = Exporter(self)
        families = exporter.metrics()
        response, text = exporter.ask()
        self.assertEqual(response.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        older = {sample.name for family in classic.text_string_to_metric_families(text)
                 for sample in family.samples}
        self.assertEqual(older, {sample.name for family in families.values() for sample in family.samples})

    def test_promtool_finds_nothing_to_say(self) -> None:
        block = self.block()
        self.sleepers(block)
        ended = promtool("check", "metrics", text=Exporter(self).ask()[1])
        self.assertEqual((ended.returncode, ended.stdout + ended.stderr), (0, ""))

    def test_who_it_is_about_is_told_by_labels(self) -> None:
        described = self.control("describe")
        families = Exporter(self).metrics()
        labels = families["proctrack_module"].samples[0].labels
        self.assertEqual(labels, {key: described[key] for key in ("version", "tracker", "feed", "confidence")})
        self.assertEqual(families["wpsd_build"].samples[0].labels,
                         {"version": self.broker.rpc("brokerinfo")["version"]})
        limits = {sample.labels["limit"]: sample.value for sample in families["proctrack_limit"].samples}
        self.assertEqual(limits, {name: described["limits"][name] for name in limits})
        self.assertLessEqual({"blocks", "processes", "requests"}, set(limits))

    def test_a_block_has_its_processes_memory_and_time(self) -> None:
        block = self.block()
        self.sleepers(block)
        exporter = Exporter(self)
        self.assertEqual(exporter.value("proctrack_block_processes", block=block.id), 3)
        self.assertGreater(exporter.value("proctrack_block_resident_memory_bytes", block=block.id), 100_000)
        self.assertIsNotNone(exporter.value("proctrack_block_cpu_seconds_total", block=block.id))
        counted = sum(sample.value for sample in exporter.metrics()["proctrack_blocks_by_confidence"].samples)
        self.assertEqual(counted, exporter.value("proctrack_blocks"))
        self.control("kill_tree", block_id=block.id)
        exporter.until("proctrack_block_processes", 0, block=block.id)

    def test_no_more_blocks_are_told_than_wanted_and_those_are_the_oldest(self) -> None:
        blocks = [self.block().id for _ in range(3)]
        oldest = min(self.control("list_all_blocks")["blocks"],
                     key=lambda block: (block["created_at_ms"], block["block_id"]))["block_id"]
        families = Exporter(self, "--blocks", 1).metrics()
        self.assertEqual([sample.labels for sample in families["proctrack_block_processes"].samples],
                         [{"block": oldest}])
        self.assertGreaterEqual(families["proctrack_blocks_left_out"].samples[0].value, len(blocks) - 1)
        for sample in Exporter(self, "--blocks", 0).metrics()["proctrack_block_processes"].samples:
            self.fail(f"told: {sample}")


class Trouble(CommandCase):
    """A broker that is away, slow or stopped, and the end."""

    @contextlib.contextmanager
    def stopped_broker(self) -> Iterator[None]:
        os.kill(self.broker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.broker.pid, signal.SIGCONT)

    def test_a_broker_that_is_away_is_a_number_and_is_found_when_it_comes(self) -> None:
        away = self.broker.runtime / "away"
        exporter = Exporter(self, WPS_RUNTIME_DIR=str(away))
        families = exporter.metrics()
        self.assertEqual([families[f"{name}_up"].samples[0].value for name in ("proctrack", "wpsd")], [0, 0])
        self.assertNotIn("proctrack_blocks", families)
        away.symlink_to(self.broker.runtime)
        self.addCleanup(away.unlink)
        exporter.until("proctrack_up", 1)
        self.assertEqual(exporter.value("wpsd_up"), 1)
        self.assertEqual(exporter.end(), 0)
        first, second = exporter.errors.splitlines()
        self.assertRegex(first, rf"^proctrack exporter: no broker at ipc://{away}/control: ")
        self.assertEqual(second, "proctrack exporter: the broker answers again")

    def test_without_an_rpc_socket_the_module_is_told_all_the_same(self) -> None:
        families = Exporter(self, "--rpc", f"ipc://{self.broker.runtime}/nobody").metrics()
        self.assertEqual([families[f"{name}_up"].samples[0].value for name in ("proctrack", "wpsd")], [1, 0])
        self.assertIn("proctrack_blocks", families)
        self.assertNotIn("wpsd_requests", families)

    def test_a_stopped_broker_is_told_before_the_scraper_gives_up_and_holds_up_nobody(self) -> None:
        exporter = Exporter(self)
        with self.stopped_broker(), concurrent.futures.ThreadPoolExecutor(6) as pool:
            began = time.monotonic()
            asked = [pool.submit(exporter.ask, X_Prometheus_Scrape_Timeout_Seconds="1.5") for _ in range(5)]
            self.assertEqual(exporter.ask(path="/")[0].status, 200)
            self.assertFalse(any(future.done() for future in asked), "the page came while they waited")
            for future in asked:
                response, text = future.result()
                self.assertEqual(response.status, 200)
                self.assertRegex(text, r"(?m)^proctrack_up 0$")
            self.assertLess(time.monotonic() - began, 1.5)
        exporter.until("proctrack_up", 1)

    def test_its_own_time_out_holds_for_who_says_none(self) -> None:
        exporter = Exporter(self, "--timeout-ms", 300)
        with self.stopped_broker():
            self.assertEqual(exporter.value("proctrack_up"), 0)
        exporter.until("proctrack_up", 1)

    def test_it_ends_at_once_also_while_it_waits(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            exporter = Exporter(self)
            with self.stopped_broker(), exporter.connection() as connection:
                connection.request("GET", "/")
                self.assertIn(b"proctrack", connection.getresponse().read(), "the connection is taken")
                before = exporter.descriptors()
                connection.request("GET", "/metrics")
                programs.wait_for(lambda: exporter.descriptors() > before, "it connects to the broker")
                began = time.monotonic()
                self.assertEqual(exporter.end(number), 0, exporter.errors)
                self.assertLess(time.monotonic() - began, 5, "the broker may take 10 s to answer")
                self.assertEqual(connection.getresponse().status, 503)
            self.assertEqual(exporter.errors, "")


class Http(CommandCase):
    """What it takes and what it does not."""

    def test_only_get_and_head_and_one_page(self) -> None:
        exporter = Exporter(self)
        response, text = exporter.ask("HEAD")
        self.assertEqual((response.status, text), (200, ""))
        self.assertGreater(int(response.headers["Content-Length"]), 1000)
        response, text = exporter.ask(path="/")
        self.assertEqual(response.status, 200)
        self.assertIn('<a href="/metrics">', text)
        response, text = exporter.ask(path="/metrics/x")
        self.assertEqual(response.status, 404)
        self.assertIn('<a href="/metrics">', text)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "ODD"):
            response, text = exporter.ask(method)
            self.assertEqual((response.status, response.headers["Allow"]), (405, "GET, HEAD"), method)

    def test_what_is_too_large_is_refused(self) -> None:
        exporter = Exporter(self)
        self.assertEqual(exporter.ask(body="x")[0].status, 413)
        self.assertEqual(exporter.ask(X_Odd="x" * 20000)[0].status, 431)
        self.assertIn(exporter.ask(path="/" + "x" * 20000)[0].status, (414, 431))
        self.assertEqual(exporter.ask()[0].status, 200)

    def test_a_name_that_was_pointed_at_the_loopback_reads_nothing(self) -> None:
        exporter = Exporter(self)
        for host, status in (("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:80", 421),
                             ("192.0.2.1", 421), ("[::2]:80", 421), ("[::1", 421), (":80", 421), ("", 421),
                             ("localhost", 200), ("LOCALHOST:1", 200), ("127.9.9.9:80", 200), ("[::1]:80", 200)):
            with self.subTest(host=host):
                self.assertEqual(exporter.ask(path="/", Host=host)[0].status, status)

    def test_a_connection_serves_many_requests(self) -> None:
        with Exporter(self).connection() as connection:
            for _ in range(3):
                connection.request("GET", "/metrics")
                response = connection.getresponse()
                self.assertEqual(response.status, 200)
                self.assertIn("proctrack_up 1", response.read().decode())
                self.assertIsNotNone(connection.sock, "it was closed")

    def test_a_crowd_of_connections_takes_no_more_than_its_share(self) -> None:
        exporter = Exporter(self)
        self.assertEqual(exporter.ask()[0].status, 200)
        before = exporter.descriptors()
        with contextlib.ExitStack() as stack:
            for _ in range(2 * CONNECTIONS):
                stack.enter_context(socket.create_connection(("127.0.0.1", exporter.port)))
            programs.wait_for(lambda: exporter.descriptors() >= before + CONNECTIONS - 1, "they are taken")
            self.assertLessEqual(exporter.descriptors(), before + CONNECTIONS)
        self.assertEqual(exporter.ask(path="/")[0].status, 200, "and when they are gone, it serves")

    def test_noise_is_no_request(self) -> None:
        exporter = Exporter(self)
        for noise in (b"\r\n\r\n\r\n", b"\x16\x03\x01" * 50 + b"\r\n\r\n", b"GET\r\n\r\n",
                      b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                      b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"):
            with socket.create_connection(("127.0.0.1", exporter.port), DEADLINE) as connection:
                connection.sendall(noise)
                connection.shutdown(socket.SHUT_WR)
            self.assertEqual(exporter.ask()[0].status, 200, noise)

    def test_other_machines_are_for_those_who_say_so(self) -> None:
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:9"):
            self.assertEqual(self.run_it("exporter", "--listen", address, status=USAGE), "")
            self.assertIn("--allow-remote", self.errors)
        exporter = Exporter(self, "--allow-remote", "--listen", "0.0.0.0:0")
        self.assertEqual(exporter.ask(path="/", Host="a.name.of.this.machine")[0].status, 200)

    def test_addresses_are_told_in_numbers(self) -> None:
        for address in ("127.0.0.1", "localhost:1", ":1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "::1:1",
                        "[::1]", "[127.0.0.1]x:1", "127.0.0.1:-1", ""):
            with self.subTest(address=address):
                self.assertEqual(self.run_it("exporter", "--listen", address, status=USAGE), "")
                self.assertIn("--listen: expected ADDRESS:PORT", self.errors)

    def test_a_port_that_is_taken_is_told(self) -> None:
        port = Exporter(self).port
        self.assertEqual(self.run_it("exporter", "--listen", f"127.0.0.1:{port}", status=FAILED), "")
        self.assertIn(f"cannot listen on 127.0.0.1:{port}: Address already in use", self.errors)


class Packaging(CommandCase):
    """The dashboard and the samples are of this exporter."""

    #: In queries of Grafana, and what they could be.
    VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}

    def dashboard(self) -> dict[str, Any]:
        return json.loads((PACKAGING / "grafana" / "proctrack.json").read_text())

    def queries(self) -> list[str]:
        found = [target["expr"] for panel in self.dashboard()["panels"] for target in panel.get("targets", [])]
        self.assertGreater(len(found), 10)
        for name, value in self.VARIABLES.items():
            found = [query.replace(name, value) for query in found]
        return found

    def test_every_metric_of_the_dashboard_and_the_alerts_exists(self) -> None:
        block = self.block()
        self.sleepers(block)
        told = {sample.name for family in Exporter(self).metrics().values() for sample in family.samples}
        alerts = (PACKAGING / "prometheus" / "proctrack.rules.yml").read_text()
        for query in [*self.queries(), *re.findall(r"expr: (.*)", alerts)]:
            names = set(re.findall(r"\b(?:proctrack|wpsd)_\w+", query))
            self.assertTrue(names, query)
            self.assertLessEqual(names, told, query)

    def test_the_queries_are_promql(self) -> None:
        rules = "groups: [{name: panels, rules: [" + ", ".join(
            json.dumps({"record": f"panel:{number}", "expr": query})
            for number, query in enumerate(self.queries())) + "]}]"
        path = self.broker.runtime / "panels.yml"
        path.write_text(rules)
        self.addCleanup(path.unlink)
        ended = promtool("check", "rules", path)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_panels_have_ids_titles_and_places_of_their_own(self) -> None:
        panels = self.dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        self.assertEqual(len({panel["title"] for panel in panels}), len(panels))
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells

    def test_the_samples_for_prometheus_are_taken_by_it(self) -> None:
        for kind, name in (("config", "prometheus.yml"), ("rules", "proctrack.rules.yml")):
            ended = promtool("check", kind, PACKAGING / "prometheus" / name)
            self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_the_sample_scrapes_where_the_exporter_serves_by_itself(self) -> None:
        text = (PACKAGING / "prometheus" / "prometheus.yml").read_text()
        default = re.search(r"--listen=\S+ .*\((\S+)\)", self.run_it("exporter", "--help"))[1]
        self.assertIn(default, text)

    def test_its_units_are_taken_by_systemd(self) -> None:
        if not shutil.which("systemd-analyze"):
            raise SkipTest("systemd-analyze is not installed")
        for manager in ("system", "user"):
            text = (PACKAGING / "systemd" / f"exporter-{manager}.service.in").read_text()
            unit = self.broker.runtime / "proctrack-exporter.service"
            unit.write_text(text.replace("@PROCTRACK@", "/bin/true").replace("man:proctrack(1)", "man:true(1)"))
            self.addCleanup(unit.unlink, missing_ok=True)
            ended = subprocess.run(["systemd-analyze", f"--{manager}", "--man=no", "verify", unit], text=True,
                                   capture_output=True, timeout=DEADLINE,
                                   env=self.environment(XDG_RUNTIME_DIR=str(self.broker.runtime),
                                                        HOME=str(self.broker.runtime)))
            said = [line for line in ended.stderr.splitlines() if unit.name in line]
            self.assertEqual((ended.returncode, said), (0, []), manager)
