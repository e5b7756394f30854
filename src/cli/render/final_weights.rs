//! Renders the final weights of the routes as Terraform code. The weights are computed in `domain::view`.

use std::fmt::Write as _;

use crate::base::arn::Arn;
use crate::base::number::count;
use crate::domain::view::final_weights::{FinalMember, FinalWeights};

/// Returns the lines, which end with a newline; empty without routes.
pub fn text(all: &[FinalWeights]) -> String {
    let mut text = String::new();
    if all.is_empty() {
        return text;
    }
    text.push_str(
        "\nFinal weights, for the code that owns the routes (Terraform). Put them there, apply, and remove\n\
         `ignore_changes`:\n",
    );
    for weights in all {
        let _ = writeln!(text, "\n# {}: {}", count(weights.routes.len(), "route"), weights.routes.join(", "));
        if weights.members.iter().all(|member| Arn::parse(&member.id).is_some()) {
            push_forward(&mut text, &weights.members);
        } else {
            let members = weights.members.iter().map(|member| format!("{} {}", member.name, member.weight));
            let _ = writeln!(text, "# not in AWS; the weights are {}", members.collect::<Vec<_>>().join(", "));
        }
    }
    text
}

fn push_forward(text: &mut String, members: &[FinalMember]) {
    text.push_str("forward {\n");
    for member in members {
        let _ =
            writeln!(text, "  target_group {{\n    arn    = \"{}\"\n    weight = {}\n  }}", member.id, member.weight);
    }
    text.push_str("}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_terraform_code_only_at_aws() {
        let weights = |route: &str, id: &str| FinalWeights {
            routes: vec![route.to_owned()],
            members: vec![FinalMember { id: id.to_owned(), name: "web-b".into(), weight: 100 }],
        };
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web-b/0123456789abcdef";
        let found = text(&[weights("80 default", arn), weights("web at lb1", "haproxy/lb1/web/b")]);
        let code = format!(
            "# 1 route: 80 default\nforward {{\n  target_group {{\n    arn    = \"{arn}\"\n    weight = 100\n  }}\n}}\n"
        );
        assert!(found.contains(&code), "{found}");
        assert!(found.contains("# 1 route: web at lb1\n# not in AWS; the weights are web-b 100\n"), "{found}");
        assert_eq!(text(&[]), "");
    }
}
