import ArgumentParser
import StrataRESP

/// The command line of Strata. Exit codes: 0 clean, 1 torn tail or refused, 2 damage, 64 usage.
@main
struct Strata: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "strata",
    abstract: "A durable key-value server and the tools for its files.",
    discussion: """
      Exit codes: 0 clean, 1 torn tail or refused, 2 damage, 64 wrong usage.
      Shell completion: strata --generate-completion-script bash|zsh|fish
      """,
    version: "strata \(RESPServer.version)",
    subcommands: [
      Serve.self, WALCommands.self, BitcaskCommands.self, LSMCommands.self, TableCommands.self, CheckCommand.self, SimCommands.self,
      MerkleCommands.self, RingCommands.self, FilterCommands.self, AvroCommands.self, RaftCommands.self, Version.self,
    ])
}

/// `strata version`
struct Version: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Print the version.")

  func run() { print("strata \(RESPServer.version)") }
}

/// How a command of the tool ended, as its exit code says.
enum Outcome {
  static let refused: Int32 = 1
  static let damage: Int32 = 2
  static let usage: Int32 = 64

  /// Says one sentence on standard error and ends the process.
  static func exit(_ code: Int32, _ sentence: String) -> Never {
    StandardError.write("strata: \(sentence)\n")
    Strata.exit(withError: ExitCode(code))
  }
}
