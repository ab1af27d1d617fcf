//! A contract argues its shape: every service, call, message, field and value has a comment.

use protox::prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tests::root;

use crate::generate::compile;

// The numbers of these lists in descriptor.proto, from which a comment's path is built.
const FILE_MESSAGE: i32 = 4;
const FILE_ENUM: i32 = 5;
const FILE_SERVICE: i32 = 6;
const MESSAGE_FIELD: i32 = 2;
const ENUM_VALUE: i32 = 2;
const SERVICE_METHOD: i32 = 2;

fn ours(descriptors: &FileDescriptorSet) -> impl Iterator<Item = &FileDescriptorProto> {
    descriptors.file.iter().filter(|file| file.package().starts_with("setlist."))
}

fn message_places(message: &DescriptorProto, index: i32) -> Vec<(Vec<i32>, String)> {
    let mut places = vec![(vec![FILE_MESSAGE, index], message.name().to_owned())];
    for (field_index, field) in (0..).zip(&message.field) {
        places.push((
            vec![FILE_MESSAGE, index, MESSAGE_FIELD, field_index],
            format!("{}.{}", message.name(), field.name()),
        ));
    }
    places
}

#[test]
fn every_contract_says_why() {
    let descriptors = compile(&root()).unwrap();
    let mut silent = Vec::new();
    for file in ours(&descriptors) {
        let mut places = Vec::new();
        for (index, message) in (0..).zip(&file.message_type) {
            places.extend(message_places(message, index));
        }
        for (index, values) in (0..).zip(&file.enum_type) {
            places.push((vec![FILE_ENUM, index], values.name().to_owned()));
            for (value_index, value) in (0..).zip(&values.value) {
                places.push((vec![FILE_ENUM, index, ENUM_VALUE, value_index], value.name().to_owned()));
            }
        }
        for (index, service) in (0..).zip(&file.service) {
            places.push((vec![FILE_SERVICE, index], service.name().to_owned()));
            for (method_index, method) in (0..).zip(&service.method) {
                places.push((
                    vec![FILE_SERVICE, index, SERVICE_METHOD, method_index],
                    format!("{}/{}", service.name(), method.name()),
                ));
            }
        }
        let comments = &file.source_code_info.as_ref().unwrap().location;
        for (path, name) in places {
            let spoken = comments.iter().any(|place| place.path == path && !place.leading_comments().trim().is_empty());
            // The envelope is the whole of its file and argued at its head.
            if !spoken && name != "Envelope" {
                silent.push(format!("{}: {name}", file.name()));
            }
        }
    }
    assert!(silent.is_empty(), "without a comment:\n{silent:#?}");
}

#[test]
fn every_enum_starts_with_unspecified() {
    let descriptors = compile(&root()).unwrap();
    let enums: Vec<_> = ours(&descriptors).flat_map(|file| &file.enum_type).collect();
    assert!(!enums.is_empty());
    for values in enums {
        let zero = values.value.first().unwrap();
        assert!(zero.number() == 0 && zero.name().ends_with("_UNSPECIFIED"), "{}", values.name());
    }
}
