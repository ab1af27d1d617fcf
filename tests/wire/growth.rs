//! Contracts only grow: whatever a released message, field, enum or call was, it still is.
//!
//! `golden/contracts.txt` lists all of them, a line each, so that a review reads what a change adds.

use std::{collections::BTreeSet, fs};

use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use tests::root;

use crate::{generate::compile, updating};

fn golden() -> std::path::PathBuf {
    root().join("tests/wire/golden/contracts.txt")
}

/// Every promise of the contracts, a line each. A line changes when anything changes that a reader of
/// another version would notice.
fn promises(descriptors: &FileDescriptorSet) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in descriptors.file.iter().filter(|file| file.package().starts_with("setlist.")) {
        let package = file.package();
        for message in &file.message_type {
            message_promises(&format!("{package}.{}", message.name()), message, &mut lines);
        }
        for values in &file.enum_type {
            enum_promises(&format!("{package}.{}", values.name()), values, &mut lines);
        }
        for service in &file.service {
            for method in &service.method {
                let side = |streaming: bool, name: &str| format!("{}{name}", if streaming { "stream " } else { "" });
                lines.insert(format!(
                    "rpc {package}.{}/{} ({}) -> ({})",
                    service.name(),
                    method.name(),
                    side(method.client_streaming(), method.input_type()),
                    side(method.server_streaming(), method.output_type()),
                ));
            }
        }
    }
    lines
}

fn message_promises(name: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    lines.insert(format!("message {name}"));
    for field in &message.field {
        lines.insert(format!("field {name} {} {}: {}", field.number(), field.name(), field_type(field)));
    }
    for nested in &message.nested_type {
        message_promises(&format!("{name}.{}", nested.name()), nested, lines);
    }
    for values in &message.enum_type {
        enum_promises(&format!("{name}.{}", values.name()), values, lines);
    }
}

fn field_type(field: &FieldDescriptorProto) -> String {
    let presence =
        if field.proto3_optional() { "OPTIONAL" } else { field.label().as_str_name().trim_start_matches("LABEL_") };
    let kind = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => field.type_name().to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let choice = field
        .oneof_index
        .filter(|_| !field.proto3_optional())
        .map_or(String::new(), |index| format!(" in oneof {index}"));
    // Without presence, `optional` of proto3 and a plain field differ for a reader.
    let presence =
        if presence == "OPTIONAL" && !field.proto3_optional() { "plain".to_owned() } else { presence.to_lowercase() };
    format!("{presence} {kind}{choice}")
}

fn enum_promises(name: &str, values: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    for value in &values.value {
        lines.insert(format!("value {name} {} {}", value.number(), value.name()));
    }
}

/// What was promised and is no longer kept.
fn broken<'a>(promised: &'a BTreeSet<String>, now: &'a BTreeSet<String>) -> Vec<&'a String> {
    promised.difference(now).collect()
}

#[test]
fn contracts_only_grow() {
    let now = promises(&compile(&root()).unwrap());
    let promised: BTreeSet<String> =
        fs::read_to_string(golden()).unwrap_or_default().lines().map(ToOwned::to_owned).collect();
    let broken = broken(&promised, &now);
    assert!(broken.is_empty(), "promised and no longer kept; add a new field or message instead:\n{broken:#?}");
    if updating() {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(golden(), text).unwrap();
    } else {
        let new: Vec<_> = now.difference(&promised).collect();
        assert!(new.is_empty(), "new promises; run this test with UPDATE_GENERATED=1 and commit them:\n{new:#?}");
    }
}

#[test]
fn no_change_that_another_version_would_notice_goes_unseen() {
    let sound = compile(&root()).unwrap();
    let check = |what: &str, change: &dyn Fn(&mut FileDescriptorSet)| {
        let mut changed = sound.clone();
        change(&mut changed);
        assert!(!broken(&promises(&sound), &promises(&changed)).is_empty(), "{what} went unseen");
    };
    let each_message = |change: &dyn Fn(&mut DescriptorProto)| {
        let names = sound.file.iter().filter(|file| file.package().starts_with("setlist."));
        let places = names.flat_map(|file| {
            file.message_type.iter().map(|message| (file.name().to_owned(), message.name().to_owned()))
        });
        for (file, message) in places.collect::<Vec<_>>() {
            let found = sound
                .file
                .iter()
                .find(|f| f.name() == file)
                .and_then(|f| f.message_type.iter().find(|m| m.name() == message));
            if found.is_none_or(|message| message.field.is_empty()) {
                continue;
            }
            check(&message, &|set: &mut FileDescriptorSet| {
                let file = set.file.iter_mut().find(|f| f.name() == file).unwrap();
                change(file.message_type.iter_mut().find(|m| m.name() == message).unwrap());
            });
        }
    };
    each_message(&|message| drop(message.field.pop()));
    each_message(&|message| message.field[0].number = Some(1_000));
    each_message(&|message| message.field[0].name = Some("another".to_owned()));
    each_message(&|message| {
        let other = if message.field[0].r#type() == Type::Bytes { Type::Sint64 } else { Type::Bytes };
        message.field[0].set_type(other);
    });
    each_message(&|message| {
        let repeated = message.field[0].label() == Label::Repeated;
        message.field[0].set_label(if repeated { Label::Optional } else { Label::Repeated });
        message.field[0].proto3_optional = None;
    });

    let ours = |set: &mut FileDescriptorSet| {
        set.file.iter().position(|file| file.package() == "setlist.ranking.v1" && !file.service.is_empty())
    };
    check("a call that goes", &|set| {
        let index = ours(set).unwrap();
        set.file[index].service[0].method.clear();
    });
    check("a call that answers something else", &|set| {
        let index = ours(set).unwrap();
        set.file[index].service[0].method[0].output_type = Some(".setlist.ranking.v1.Slate".to_owned());
    });
    check("a call that streams", &|set| {
        let index = ours(set).unwrap();
        set.file[index].service[0].method[0].server_streaming = Some(true);
    });
    check("an enum value that goes", &|set| {
        drop(set.file.iter_mut().flat_map(|file| &mut file.enum_type).next().unwrap().value.pop());
    });
    check("an enum value that is renumbered", &|set| {
        set.file.iter_mut().flat_map(|file| &mut file.enum_type).next().unwrap().value[1].number = Some(77);
    });
    check("an optional field that loses its presence", &|set| {
        let messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
        messages
            .flat_map(|message| &mut message.field)
            .find(|field| field.proto3_optional())
            .unwrap()
            .proto3_optional = None;
    });
}

#[test]
fn growth_breaks_nothing() {
    let sound = compile(&root()).unwrap();
    let mut grown = sound.clone();
    let message = grown
        .file
        .iter_mut()
        .flat_map(|file| &mut file.message_type)
        .find(|message| message.name() == "RankRequest")
        .unwrap();
    let mut field = message.field[0].clone();
    field.number = Some(99);
    field.name = Some("one_more".to_owned());
    message.field.push(field);
    assert!(broken(&promises(&sound), &promises(&grown)).is_empty());
}
