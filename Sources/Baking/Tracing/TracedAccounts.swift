import Model

/// What scripts did to the users and groups of the image that they ran in.
struct TracedAccounts {
    var users: [TraceRecord.Account] = []
    var groups: [TraceRecord.Group] = []
    var members: [[String]] = []
    /// Changes that are not carried over.
    var notes: [String] = []

    /// Programs whose arguments say which numbers were asked for.
    private static let programs: Set<String> = ["addgroup", "adduser", "groupadd", "useradd"]

    /// By what is there afterwards; numbers count only where a recorded call asked for one.
    init(before: Accounts, after: Accounts, calls: [TraceRecord.Call], package: String) {
        var asked = AccountRequests(knownUsers: [], knownGroups: [])
        for call in calls where TracedAccounts.programs.contains(call.program) {
            _ = asked.take(call.program, call.arguments)
        }
        let groupNames = Dictionary(after.groups.map { ($0.id, $0.name) }) { first, _ in first }
        for group in after.groups.sorted(by: { $0.name < $1.name }) {
            let old = before.group(group.name)
            if old == nil { groups.append(.init(name: group.name, id: asked.groups[group.name] ?? nil)) }
            members += Set(group.members).subtracting(old?.members ?? []).sorted().map { [group.name, $0] }
        }
        for user in after.users.sorted(by: { $0.name < $1.name }) {
            guard let old = before.user(user.name) else {
                let request = AccountRequests.User(
                    id: asked.users[user.name]?.id, group: groupNames[user.group] ?? "\(user.group)",
                    comment: user.comment, home: user.home, shell: user.shell)
                users.append(.init(name: user.name, user: request))
                continue
            }
            if old != user {
                notes.append(
                    "\(package): its scripts change the user \(user.name), whom another package makes: "
                        + "that is not carried over")
            }
        }
    }
}
