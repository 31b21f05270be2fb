import StrataDisk
import StrataNodes

/// Crashes a program at every disk operation, in every way the disk allows, and checks that it recovers with what it promised.
///
/// The workload runs once and its disk operations are recorded. For each place between two operations, images of the disk after a power
/// loss there are built: nothing pending kept, all kept, each pending operation alone, each missing, each prefix, the last write torn,
/// and random subsets (after ALICE, OSDI 2014, and ACE, OSDI 2018); and the process alone is killed. On each distinct image the
/// recovery runs; it must throw when anything acknowledged before the crash is missing or anything is there that was never begun. The
/// recovery's own operations are recorded too, the power fails again among them, and recovery must hold once more.
///
/// ```swift
/// let report = try CrashEnumeration().run { (disk, ledger: Ledger<Event>) in
///   let log = try Log(disk); for i in 0..<10 { ledger.note(.began(i)); try log.append(i); ledger.note(.acknowledged(i)) }
/// } recover: { disk, ledger in
///   let log = try Log(disk); try check(log, against: ledger.entries); ledger.note(.began(99)); ...
/// }
/// #expect(report.isClean, "\(report)")
/// ```
/// Equal seeds and workloads examine equal images. A workload with threads is recorded as it happened to run.
public struct CrashEnumeration: Sendable {
  /// Bounds and choices.
  public struct Options: Sendable {
    /// What the disk may do.
    public var profile: DiskProfile = .strictPOSIX
    /// Seed of everything drawn.
    public var seed: UInt64 = 1
    /// How many pending operations are tried alone, missing and as a prefix at one point; all where they are no more.
    public var singlesPerPoint = 24
    /// How many cuts of the last write are tried at one point.
    public var tearsPerPoint = 6
    /// How many random subsets are tried at one point.
    public var randomsPerPoint = 4
    /// At how many places of one recovery the power fails again; after its last change always, all where they are no more.
    public var crashesPerRecovery = 8
    /// Whether at each place the process is also killed with the power on: the next start sees operations that are still pending, and a
    /// power loss after it may take them back (a file created but not synced by the killed process, then trusted by its successor).
    public var killsProcess = true
    /// After how many failures the run ends.
    public var maximumFailures = 3
    /// About how many images, those of crashes during recovery included, are examined. They are shared out evenly over the places
    /// of the run, a random sample of outcomes at each, where there is no room for all; ``CrashReport/wasCutShort`` then says so.
    public var maximumImages = Int.max
    /// The name of the place in the code a sync comes from; see ``undetectedSyncs(on:workload:recover:)``.
    public var site: @Sendable (SyncCall) -> String = { $0.defaultSite }

    /// The defaults: strict POSIX, every single operation up to 24 pending.
    public init() {}
  }

  /// The bounds and choices of this enumeration.
  public var options: Options

  /// An enumeration with the given options.
  public init(_ options: Options = Options()) { self.options = options }

  /// Records the workload and examines every crash.
  /// - Parameters:
  ///   - start: the disk the workload begins with; an empty one by default. It is not changed.
  ///   - workload: drives the engine once and notes what it begins and what is acknowledged.
  ///   - recover: opens the engine on a crashed disk, throws unless its state agrees with the notes, and may go on to write and note more.
  /// - Throws: what the workload throws. What recoveries throw is in the report.
  public func run<Note: Hashable & Sendable>(
    on start: SimulatedFileSystem? = nil,
    workload: (any FileSystem, Ledger<Note>) throws -> Void,
    recover: @escaping (any FileSystem, Ledger<Note>) throws -> Void
  ) throws -> CrashReport {
    let recording = try record(on: start, workload)
    var search = CrashSearch(options: options, mutedSite: nil, recover: recover)
    search.examine(recording)
    return search.report
  }

  /// The places of syncs, in the workload and in recovery, that could be removed without any crash showing it.
  ///
  /// Syncs are grouped by `options.site`. For each group the enumeration runs as if those calls did nothing; a group is undetected when
  /// still no recovery fails. An engine's test expects none, or exactly those that it argues to be redundant.
  /// - Throws: what the workload throws, or the first failure that happens with every sync in place.
  public func undetectedSyncs<Note: Hashable & Sendable>(
    on start: SimulatedFileSystem? = nil,
    workload: (any FileSystem, Ledger<Note>) throws -> Void,
    recover: @escaping (any FileSystem, Ledger<Note>) throws -> Void
  ) throws -> SyncMutationReport {
    let recording = try record(on: start, workload)
    var baseline = CrashSearch(options: options, mutedSite: nil, recover: recover)
    baseline.examine(recording)
    if let failure = baseline.report.failures.first { throw failure }
    var single = options
    single.maximumFailures = 1
    var report = SyncMutationReport()
    for site in baseline.sites.sorted() {
      var search = CrashSearch(options: single, mutedSite: site, recover: recover)
      search.examine(recording)
      if let failure = search.report.failures.first { report.detected[site] = failure } else { report.undetected.append(site) }
    }
    return report
  }

  private func record<Note: Hashable & Sendable>(
    on start: SimulatedFileSystem?, _ workload: (any FileSystem, Ledger<Note>) throws -> Void
  ) throws -> RecordedRun<Note> {
    var initial = start?.core.withLock { $0.state } ?? DiskState(profile: options.profile)
    initial.profile = options.profile
    let recorder = RecordingFileSystem(SimulatedFileSystem(state: initial, random: Random(seed: options.seed)))
    let ledger = Ledger<Note>(after: [], recorder: recorder)
    try workload(recorder, ledger)
    return RecordedRun(initial: initial, log: recorder.log, notes: ledger.own)
  }
}

/// Which syncs a set of crash tests would miss if they were gone.
public struct SyncMutationReport: Sendable, CustomStringConvertible {
  /// Sites whose removal no crash showed.
  public internal(set) var undetected: [String] = []
  /// Sites whose removal was shown, with the first failure it caused.
  public internal(set) var detected: [String: CrashFailure] = [:]

  public var description: String {
    "undetected: \(undetected.isEmpty ? "none" : undetected.joined(separator: "; ")) - detected: "
      + detected.keys.sorted().joined(separator: "; ")
  }
}
