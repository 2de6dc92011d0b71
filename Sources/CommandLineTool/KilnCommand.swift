package import ArgumentParser
internal import Foundation
internal import Model
internal import WireAPI

/// The program: all verbs, and one place where failures become words and exit codes.
package struct KilnCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "kiln",
        abstract: "Immutable infrastructure in one program: bake, deploy, replace, roll back.",
        discussion: """
            A first service:
              kiln init                 write a kiln.yaml
              sudo kiln serve &         start the daemon
              sudo kiln deploy          bake the image and put it into service
              sudo kiln rollback hello  put the last good release back

            Exit codes: 0 done, 1 the work failed and the world is as before,
            2 the request was wrong, 3 nothing could be reached.
            """,
        version: "0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: "Images",
                subcommands: [Init.self, LockVerb.self, Bake.self, ImageVerb.self, StoreVerb.self]),
            CommandGroup(
                name: "Trust",
                subcommands: [
                    KeyVerb.self, PolicyVerb.self, ApprovalVerb.self, VerifyVerb.self, LedgerVerb.self,
                ]),
            CommandGroup(
                name: "Services",
                subcommands: [
                    Deploy.self, PlanVerb.self, RolloutVerb.self, Status.self, DriftVerb.self, DiffVerb.self,
                    History.self, Rollback.self, Scale.self, Repave.self, Retire.self, Logs.self,
                    Inspect.self,
                ]),
            CommandGroup(
                name: "Break-glass", subcommands: [Exec.self, Debug.self, Hold.self, SessionVerb.self]),
            CommandGroup(name: "Hosts", subcommands: [Serve.self, Doctor.self, Demo.self, Schema.self]),
        ])

    package init() {}

    /// Runs the program and returns its exit code.
    package static func run(_ arguments: [String], with adapters: Adapters) async -> Int32 {
        await Adapters.$current.withValue(adapters) {
            do {
                var command = try parsed(arguments)
                if var verb = command as? any AsyncParsableCommand {
                    try await verb.run()
                } else {
                    try command.run()
                }
                return 0
            } catch let code as ExitCode {
                return code.rawValue
            } catch {
                return report(error, arguments)
            }
        }
    }

    /// Verbs that only ask the daemon. To read the arguments of all verbs takes longer than what these do.
    private static let quickVerbs: [any ParsableCommand.Type] = [
        History.self, Logs.self, Repave.self, Retire.self, Rollback.self, Scale.self, Status.self,
    ]

    private static func parsed(_ arguments: [String]) throws -> any ParsableCommand {
        if let name = arguments.first, let verb = quickVerbs.first(where: { $0._commandName == name }),
            let command = try? verb.parseAsRoot(Array(arguments.dropFirst()))
        {
            return command
        }
        // Whatever is wrong or asked for is told in the words of the whole program.
        return try parseAsRoot(arguments)
    }

    private static func report(_ error: any Error, _ arguments: [String]) -> Int32 {
        guard error is Failure || error is Failures || error is CancellationError else {
            // Help and version are no failures; everything else from the parser is a wrong request.
            let isAnswer = exitCode(for: error) == .success
            let text = fullMessage(for: error)
            if isAnswer { Screen.answer(text) } else { Screen.tell(text) }
            return isAnswer
                ? 0 : error is ValidationError || exitCode(for: error) == .validationFailure ? 2 : 1
        }
        let failures = Failure.list(error)
        if wantsJSON(arguments) {
            try? Screen.answer(FailureAnswer(failures: failures))
        } else {
            Screen.fail(failures)
        }
        return failures.map(\.exitCode).max() ?? 1
    }

    private static func wantsJSON(_ arguments: [String]) -> Bool {
        arguments.contains("--output=json")
            || zip(arguments, arguments.dropFirst()).contains {
                ["--output", "-o"].contains($0) && $1 == "json"
            }
    }
}
