// LMDB: random gets from its mapping. Each get sees the newest data: the reader's transaction is renewed for it, unless --one-transaction yes.
#include <lmdb.h>

#include <memory>

#include "workload.h"

namespace {

void check(int code) {
  if (code != MDB_SUCCESS) peer::fail(mdb_strerror(code));
}

void load(MDB_env* environment, const peer::Flags& flags, uint64_t records, uint64_t seed, const peer::Values& values) {
  const peer::Shuffle order(records, seed);
  constexpr uint64_t batch = 100000;
  for (uint64_t first = 0; first < records; first += batch) {
    MDB_txn* transaction = nullptr;
    MDB_dbi database;
    check(mdb_txn_begin(environment, nullptr, 0, &transaction));
    check(mdb_dbi_open(transaction, nullptr, 0, &database));
    for (uint64_t i = first; i < std::min(first + batch, records); i++) {
      char key[peer::key_size];
      peer::key_of(order.at(i), seed, key);
      MDB_val name{sizeof key, key};
      MDB_val value{flags.number("value-size"), const_cast<char*>(values.of(i))};
      check(mdb_put(transaction, database, &name, &value, 0));
    }
    check(mdb_txn_commit(transaction));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"workload", "get"}, {"one-transaction", "no"}});
  if (!flags.is("workload", "get")) peer::fail("--workload is get");
  const uint64_t records = flags.number("records"), seed = flags.number("seed");
  const size_t threads = flags.number("threads");
  const peer::Values values(seed, flags.number("value-size"));
  const peer::Load state(flags, "lmdb");

  MDB_env* environment = nullptr;
  check(mdb_env_create(&environment));
  check(mdb_env_set_mapsize(environment, std::max<uint64_t>(1 << 30, records * (values.size() + 64) * 4)));
  check(mdb_env_set_maxreaders(environment, static_cast<unsigned>(threads + 1)));
  // The load is not what is measured, so it does not wait for the disk.
  check(mdb_env_open(environment, flags.text("dir").c_str(), MDB_NOSYNC | MDB_NOTLS, 0644));
  if (!state.is_there()) {
    load(environment, flags, records, seed, values);
    check(mdb_env_sync(environment, 1));
    state.finished();
  }

  std::vector<MDB_txn*> readers(threads);
  std::vector<peer::Random> random;
  MDB_dbi database = 0;
  for (size_t i = 0; i < threads; i++) {
    check(mdb_txn_begin(environment, nullptr, MDB_RDONLY, &readers[i]));
    check(mdb_dbi_open(readers[i], nullptr, 0, &database));
    random.emplace_back(seed * 1000 + i);
  }
  const bool renews = flags.is("one-transaction", "no");
  const uint64_t operations = flags.number("operations") > 0 ? flags.number("operations") : records;
  const peer::Run run(threads, operations, flags.number("seconds"), 16, [&](peer::Worker& worker, uint64_t) {
    MDB_txn* reader = readers[worker.number];
    if (renews) {
      mdb_txn_reset(reader);
      check(mdb_txn_renew(reader));
    }
    char key[peer::key_size];
    peer::key_of(random[worker.number].below(records), seed, key);
    MDB_val name{sizeof key, key}, value;
    check(mdb_get(reader, database, &name, &value));
    worker.checksum += peer::sum(static_cast<const char*>(value.mv_data), value.mv_size);
  });
  for (MDB_txn* reader : readers) mdb_txn_abort(reader);
  mdb_env_close(environment);
  peer::print("lmdb", "get", run,
              {{"disk_bytes", static_cast<double>(peer::disk_bytes(flags.text("dir")))}, {"rss_bytes", static_cast<double>(peer::resident_bytes())}});
}
