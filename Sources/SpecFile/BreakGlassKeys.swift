import Model

/// `break-glass:` in a host's policy — who may go into instances.
enum BreakGlassKeys {
    static let allow = Key(
        "allow", user.list(1...Bounds.operators, example: "[uid:0, uid:1000]"),
        "Users of the host who may, by their numbers; nobody else then, root included.", required: true)

    static let form = Form<BreakGlassRule>.section([allow], example: "{allow: [uid:0, uid:1000]}") {
        section, problems in
        section.value(allow, &problems).map { BreakGlassRule(allow: $0) }
    }

    private static let user = Form<String>.text(pattern: "^uid:[0-9]{1,10}$", example: "uid:1000") { text in
        text.hasPrefix("uid:") && number(text) != nil ? nil : "uid: and the number of a user are needed"
    }.map { text, _, _, _ in number(text) }

    private static func number(_ text: String) -> UInt32? {
        let digits = text.dropFirst("uid:".count)
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        // The greatest number stands for nobody.
        return UInt32(digits).flatMap { $0 == .max ? nil : $0 }
    }
}
