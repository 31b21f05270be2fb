"""fastavro over bare data in memory. Prints one line as the benchmarks' programs do."""

import argparse
import io
import json
import time

import fastavro

parser = argparse.ArgumentParser()
parser.add_argument("--records", type=int)
parser.add_argument("--workload", default="decode")
parser.add_argument("--schema")
parser.add_argument("--reader")
parser.add_argument("--data")
parser.add_argument("--dir")
flags = parser.parse_args()

schema = fastavro.parse_schema(json.load(open(flags.schema)))
reader = fastavro.parse_schema(json.load(open(flags.reader))) if flags.reader else None
data = io.BytesIO(open(flags.data, "rb").read())
read, write = fastavro.schemaless_reader, fastavro.schemaless_writer
if flags.workload == "decode":
    began = time.perf_counter()
    for _ in range(flags.records):
        read(data, schema, reader)
    seconds = time.perf_counter() - began
else:
    values = [read(data, schema, None) for _ in range(min(flags.records, 1000))]
    target = io.BytesIO()
    began = time.perf_counter()
    for number in range(flags.records):
        if number % len(values) == 0:
            target.seek(0)
        write(target, schema, values[number % len(values)])
    seconds = time.perf_counter() - began
print(json.dumps({"program": "fastavro", "operations": flags.records, "seconds": seconds}))
