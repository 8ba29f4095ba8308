"""A small client of the Kubernetes API: requests, errors with warnings, a list-and-watch thread.

Python's standard library only. A Kube may be shared by threads: each has a connection of its own.
"""

import base64
import http.client
import json
import os
import ssl
import tempfile
import threading
import time
import urllib.parse


class ApiError(Exception):
    """What the API server answered, if it was not success. `warnings` are its Warning headers."""

    def __init__(self, status, message, reason="", warnings=()):
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.message, self.reason = status, message, reason
        self.warnings = list(warnings)


class Answer:
    def __init__(self, body, warnings):
        self.body, self.warnings = body, warnings

    def json(self):
        return json.loads(self.body)


def _warnings(response):
    # 299 - "text"
    found = response.headers.get_all("Warning") or []
    return [w.split(" ", 2)[2].strip('"') if w.count(" ") >= 2 else w for w in found]


class Kube:
    def __init__(self, kubeconfig):
        """kubeconfig: the parsed file, with certificates inside (kubectl config view --raw -o json)."""
        cluster = kubeconfig["clusters"][0]["cluster"]
        user = kubeconfig["users"][0]["user"]
        self.server = urllib.parse.urlsplit(cluster["server"])
        self.context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        # The ssl module reads a client certificate from a file only.
        with tempfile.NamedTemporaryFile(mode="wb", delete=False) as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]))
            pem.write(base64.b64decode(user["client-key-data"]))
        try:
            self.context.load_cert_chain(pem.name)
        finally:
            os.unlink(pem.name)
        self.local = threading.local()

    def _connect(self, timeout):
        return http.client.HTTPSConnection(
            self.server.hostname, self.server.port, timeout=timeout, context=self.context
        )

    def _once(self, method, path, body, headers, timeout):
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = self._connect(timeout)
        elif connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self.local.connection = None
            raise

    def call(self, method, path, body=None, content_type="application/json", timeout=30):
        """Answer, or ApiError. A connection that the server has closed meanwhile is opened anew once."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        fresh = getattr(self.local, "connection", None) is None
        try:
            response, data = self._once(method, path, body, headers, timeout)
        except (OSError, http.client.HTTPException):
            if fresh:
                raise
            response, data = self._once(method, path, body, headers, timeout)
        if response.status >= 300:
            reason, message = "", data.decode(errors="replace")
            try:
                status = json.loads(data)
                reason, message = status.get("reason", ""), status.get("message", message)
            except (ValueError, AttributeError):
                pass
            raise ApiError(response.status, message, reason, _warnings(response))
        return Answer(data, _warnings(response))

    def get(self, path, **kw):
        return self.call("GET", path, **kw).json()

    def find(self, path):
        """The object, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as e:
            if e.status == 404:
                return None
            raise

    def items(self, path):
        return self.get(path)["items"]

    def create(self, path, manifest):
        return self.call("POST", path, manifest)

    def patch(self, path, patch):
        return self.call("PATCH", path, patch, content_type="application/merge-patch+json").json()

    def delete(self, path, body=None):
        try:
            return self.call("DELETE", path, body)
        except ApiError as e:
            if e.status != 404:
                raise
        return None

    def pod(self, ns, name):
        return self.find(f"/api/v1/namespaces/{ns}/pods/{name}")

    def log(self, ns, pod, container=None, **options):
        query = dict(options)
        if container:
            query["container"] = container
        text = self.call(
            "GET", f"/api/v1/namespaces/{ns}/pods/{pod}/log?{urllib.parse.urlencode(query)}"
        )
        return text.body.decode(errors="replace")

    def events(self, ns, name, reason=None):
        selector = f"involvedObject.name={name}" + (f",reason={reason}" if reason else "")
        return self.items(
            f"/api/v1/namespaces/{ns}/events?fieldSelector={urllib.parse.quote(selector)}"
        )


class Watch(threading.Thread):
    """Lists, then watches, for ever: on_list(objects), on_event(type, object), in the order in which the
    API server committed them. Survives an API server that goes away; after a gap it lists again."""

    def __init__(self, kube, path, on_list, on_event):
        super().__init__(daemon=True, name=f"watch {path}")
        self.kube, self.path, self.on_list, self.on_event = kube, path, on_list, on_event
        self.stopping, self.connection, self.failure = False, None, None
        self.lists = 0

    def stop(self):
        self.stopping = True
        connection = self.connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(2)
            except OSError:
                pass
        self.join()

    def run(self):
        while not self.stopping:
            try:
                self._list_and_watch()
            except (OSError, http.client.HTTPException, ApiError, ValueError) as e:
                self.failure = e
                if not self.stopping:
                    time.sleep(0.5)  # the server is away; ask again, not at full speed

    def _list_and_watch(self):
        listing = self.kube.get(self.path)
        self.lists += 1
        self.on_list(listing["items"])
        version = listing["metadata"]["resourceVersion"]
        while not self.stopping:
            for kind, obj in self._stream(version):
                if kind == "ERROR":
                    return  # too old: list again
                version = obj["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self.on_event(kind, obj)

    def _stream(self, version):
        # The server closes the stream after timeoutSeconds; the client's own limit is a little longer.
        self.connection = self.kube._connect(75)
        try:
            mark = "&" if "?" in self.path else "?"
            self.connection.request(
                "GET",
                f"{self.path}{mark}watch=1&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion={version}",
            )
            response = self.connection.getresponse()
            if response.status != 200:
                raise ApiError(response.status, response.read().decode(errors="replace"))
            while line := response.readline():
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            self.connection.close()
