import ArgumentParser
import StrataSimulation

/// What `strata sim run` and `replay` write of a run.
struct TraceOptions: ParsableArguments {
  @Flag(help: "Print one line for each thing that happened.") var trace = false
  @Option(help: "Write a diagram of the run to this file.") var html: String?
  @Option(help: "Write the trace as JSON Lines to this file.") var traceFile: String?
  @Option(help: "Write the trace for Perfetto or chrome://tracing to this file.") var perfetto: String?

  /// An empty trace that keeps what is to be written; nothing where nothing is.
  var kept: Trace? { trace || html != nil || traceFile != nil || perfetto != nil ? Trace(keepsStates: html != nil) : nil }

  func write(_ report: RunReport) {
    if trace { print(report.traceText) }
    if let html { SimCommands.write(SpaceTimeDiagram(report).html, to: html) }
    if let traceFile { SimCommands.write(report.traceLines, to: traceFile) }
    if let perfetto { SimCommands.write(ChromeTrace(report).json, to: perfetto) }
  }
}
