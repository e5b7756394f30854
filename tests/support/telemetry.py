"""Reads standard input with the parsers of other projects, and prints the result as JSON.

telemetry.py openmetrics | prometheus | otlp
"""

import json
import sys


def families(parsed):
    return {f.name: [f.type, [[s.name, s.labels, s.value] for s in f.samples]] for f in parsed}


text = sys.stdin.read()
if sys.argv[1] == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

    result = families(parse(text))
elif sys.argv[1] == "prometheus":
    from prometheus_client.parser import text_string_to_metric_families as parse

    result = families(parse(text))
else:
    import base64

    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = json.loads(text)
    # OTLP's JSON differs from that of protobuf only in its ids, which are hexadecimal.
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in span:
                        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    read = json_format.ParseDict(request, ExportTraceServiceRequest())
    spans = [s for r in read.resource_spans for c in r.scope_spans for s in c.spans]
    result = {
        "resource": {a.key: a.value.string_value for r in read.resource_spans for a in r.resource.attributes},
        "spans": [[s.name, s.parent_span_id.hex(), s.span_id.hex(), len(s.trace_id), s.end_time_unix_nano - s.start_time_unix_nano, s.status.code] for s in spans],
    }
json.dump(result, sys.stdout)
